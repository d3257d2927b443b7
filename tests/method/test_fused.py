"""One pass instead of many, without a graphics card: a stand-in compiles; what cannot be compiled runs as it is."""

import sys

import pytest
import torch
from benchmarks.tally import Tally

from selfstorm.compute import scatter
from selfstorm.compute.acceleration import batched_on_cpu, one_by_one
from selfstorm.compute.compiled import CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.stages import density as stage_a
from selfstorm.stages import emitters as stage_b
from selfstorm.stream.warm_up import run_stages

TIMES = 4


class Compiler:
    """Makes a kernel that counts its calls. broken: raises it instead."""

    def __init__(self, broken=None):
        self.compiled = self.called = 0
        self._broken = broken

    def __call__(self, function):
        if self._broken is not None:
            raise self._broken
        self.compiled += 1

        def kernel(*inputs):
            self.called += 1
            return function(*inputs)

        return kernel


def halved_and_squared(z, other, room=None):
    z.mul_(0.5)
    return torch.mul(z, z, out=room).add_(other)


def fused(compiler):
    return CompiledOp(halved_and_squared, compiler, ("cpu",))


def results(function, shape=(4,)):
    return [function(torch.full(shape, float(n)), torch.ones(shape))[0].item() for n in range(TIMES)]


def test_a_function_is_compiled_once_for_all_shapes():
    function = fused(compiler := Compiler())
    for shape in ((4,), (5,)):
        assert results(function, shape) == [n * n / 4 + 1 for n in range(TIMES)]
    assert (compiler.compiled, compiler.called) == (1, 2 * TIMES)


def test_out_buffers_are_for_single_operations():
    room = torch.empty(4)
    assert fused(Compiler())(torch.full((4,), 6.0), torch.ones(4), room=room).data_ptr() != room.data_ptr()
    with one_by_one():
        assert fused(Compiler())(torch.full((4,), 6.0), torch.ones(4), room=room).data_ptr() == room.data_ptr()


@pytest.mark.parametrize("broken", [RuntimeError("Cannot find a working triton installation"), ImportError()])
def test_where_nothing_can_be_compiled_it_is_tried_and_said_once(broken, caplog):
    function = fused(Compiler(broken=broken))
    for shape in ((4,), (5,)):
        assert results(function, shape) == [n * n / 4 + 1 for n in range(TIMES)]
    assert caplog.text.count("halved_and_squared is not compiled, going on without") == 1


def test_no_memory_is_not_taken_for_no_compiler():
    function = fused(Compiler(broken=torch.OutOfMemoryError("CUDA out of memory.")))
    with pytest.raises(torch.OutOfMemoryError):
        results(function)


def test_other_devices_are_left_alone():
    compiler = Compiler()
    fused(compiler)(torch.empty(3, device="meta"), torch.empty(3, device="meta"))
    CompiledOp(halved_and_squared, compiler)(torch.ones(3), torch.ones(3))  # a CPU is none of the devices
    assert (compiler.compiled, compiler.called) == (0, 0)


def test_counted_work_is_seen_though_kernels_and_graphs_would_hide_it():
    function = fused(compiler := Compiler())
    z, one = torch.ones(1000), torch.ones(1000)
    with Tally() as apart:
        halved_and_squared(z, one)
    assert apart.bytes == 4 * 1000 * (2 + 3 + 3)
    with Tally() as together:
        function(z, one)
    assert together.bytes == 4 * 1000 * 3
    with Tally() as in_graph:
        Graphs(lambda *_: pytest.fail("captured"), ("cpu",)).run("name", function, z, one)
    assert in_graph.bytes == together.bytes
    assert compiler.called == 0


def test_a_layer_in_one_pass_moves_a_fifth_of_what_it_moves_apart():
    """The elementwise half of stage B: 14 passes over the maps, or 3; of stage A 30, or 9."""
    maps = [torch.rand(5, 40, 44) + 0.5 for _ in range(2)]
    cell = [torch.rand(40, 44) + 0.5 for _ in range(4)]
    momentum = torch.tensor(0.5, dtype=torch.float64)
    for function, inputs, passes_apart, passes in (
        (stage_b._updated, (*maps, *cell[:2]), 14, 3),
        (stage_a._ahead, (*cell[:2], momentum), 10, 3),
        (stage_a._updated, cell, 19, 6),
    ):
        with Tally() as apart:
            function(*inputs)
        one = CompiledOp(function._function, lambda f: f, ("cpu",))
        with Tally() as together:
            one(*inputs)
        a_pass = inputs[0].numel() * 4
        assert apart.bytes == pytest.approx(passes_apart * a_pass, rel=0.03)
        assert together.bytes == pytest.approx(passes * a_pass, rel=0.15)


def test_all_kernels_are_compiled_before_frames_arrive(monkeypatch):
    """A kernel that the warm-up leaves out is compiled in the first live window, which takes seconds."""
    called, call = set(), CompiledOp.__call__

    def spied(self, *inputs, **buffers):
        called.add(self)
        return call(self, *inputs, **buffers)

    monkeypatch.setattr(CompiledOp, "__call__", spied)
    with batched_on_cpu():
        run_stages(torch.device("cpu"))
    modules = (module for name, module in sys.modules.items() if name.startswith("selfstorm."))
    ours = {one for module in modules for one in vars(module).values() if isinstance(one, CompiledOp)}
    of_unordered_devices = {scatter._units, scatter._add_units}  # a CPU adds in order
    assert len(ours) > 20
    assert called == ours - of_unordered_devices
