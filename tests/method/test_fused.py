"""One pass instead of many, without a graphics card: a stand-in compiles; what cannot be compiled runs as it is."""

import pytest
import torch
from benchmarks.tally import Tally

from selfstorm.compute.compiled import CHECKED, MOST_SHAPES, CompiledOp
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.stages import density as stage_a
from selfstorm.stages import emitters as stage_b

TIMES = CHECKED + 2


class Compiler:
    """Makes a kernel that counts its calls. spoil: what it is off by, from its second call on. broken: cannot."""

    def __init__(self, spoil=0.0, broken=None):
        self.compiled = self.called = 0
        self._spoil, self._broken = spoil, broken

    def __call__(self, function):
        if self._broken is not None:
            raise self._broken
        self.compiled += 1

        def kernel(*inputs):
            self.called += 1
            out = function(*inputs)
            return out * (1 + self._spoil) if self.called > 1 else out

        return kernel


def halved_and_squared(z, other, room=None):
    z.mul_(0.5)
    return torch.mul(z, z, out=room).add_(other)


def fused(compiler):
    return CompiledOp(halved_and_squared, compiler, ("cpu",))


def results(function, shape=(4,)):
    return [function(torch.full(shape, float(n)), torch.ones(shape))[0].item() for n in range(TIMES)]


def test_a_kernel_is_used_once_it_came_to_the_same_several_times():
    compiler = Compiler()
    function = fused(compiler)
    z = torch.full((4,), 6.0)
    assert function(z, torch.ones(4)).tolist() == [10.0] * 4
    assert z.tolist() == [3.0] * 4  # done once, though two of them did it
    assert results(function) == [n * n / 4 + 1 for n in range(TIMES)]
    assert (compiler.compiled, compiler.called) == (1, 1 + TIMES)
    plain = fused(compiler := Compiler())
    room = torch.empty(4)
    for _ in range(TIMES):  # while it is checked the room is used, then it is not needed
        assert plain(torch.full((4,), 6.0), torch.ones(4), room=room).tolist() == [10.0] * 4
        room = torch.empty(4)
    assert compiler.called == TIMES


@pytest.mark.parametrize("spoil", [1e-3, float("nan")])
def test_a_kernel_that_is_wrong_once_is_not_used_for_that_shape(spoil, caplog):
    compiler = Compiler(spoil)
    function = fused(compiler)
    assert results(function) == [n * n / 4 + 1 for n in range(TIMES)]
    assert compiler.called == 2
    assert caplog.text.count("going on without") == 1
    results(function, (5,))
    assert compiler.called == 3


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


def test_shapes_are_bounded_and_other_devices_left_alone():
    function = fused(compiler := Compiler())
    for length in range(1, MOST_SHAPES + 3):
        function(torch.ones(length), torch.ones(length))
    assert len(function._unproved) == MOST_SHAPES
    called = compiler.called
    function(torch.empty(3, device="meta"), torch.empty(3, device="meta"))
    CompiledOp(halved_and_squared, compiler)(torch.ones(3), torch.ones(3))  # a CPU is none of the devices
    assert compiler.called == called


def test_counted_work_is_seen_though_kernels_and_graphs_would_hide_it():
    function = fused(compiler := Compiler())
    z, one = torch.ones(1000), torch.ones(1000)
    with Tally() as apart:
        function(z, one)
    assert apart.bytes == 4 * 1000 * (2 + 3 + 3)
    results(function, (1000,))
    called = compiler.called
    with Tally() as together:
        function(z, one)
    assert (together.flops, together.bytes) == (apart.flops, 4 * 1000 * 3)
    with Tally() as in_graph:
        Graphs(lambda *_: pytest.fail("captured"), ("cpu",)).run("name", function, z, one)
    assert in_graph.bytes == together.bytes
    assert compiler.called == called


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
        for _ in range(CHECKED):
            one(*inputs)
        with Tally() as together:
            one(*inputs)
        a_pass = inputs[0].numel() * 4
        assert apart.bytes == pytest.approx(passes_apart * a_pass, rel=0.03)
        assert together.bytes == pytest.approx(passes * a_pass, rel=0.15)
