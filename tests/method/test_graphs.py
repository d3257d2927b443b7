"""CUDA graphs without CUDA: a stand-in records and replays as a graph does; what cannot be one runs as it is."""

from dataclasses import fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from streams import learned, movie_windows

from selfstorm.compute.acceleration import batched_on_cpu, one_by_one
from selfstorm.compute.cuda_graphs import MAX_GRAPHS, Graphs
from selfstorm.physics.operators import LAGS, Grid
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stages.covariances import shifted, sums_of
from selfstorm.stages.localization import localize
from selfstorm.stream.averaging_plan import choose_averaging_plan
from selfstorm.stream.motion import Block, velocities
from selfstorm.stream.scene_change import detect_scene_change
from selfstorm.stream.settings import Settings


class Recorder:
    """Captures a function on copies of its inputs; a replay computes on those, into the same output, like a graph."""

    def __init__(self, fails=False):
        self.captured = self.replayed = 0
        self._fails = fails

    def __call__(self, function, example):
        if self._fails:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.captured += 1
        inputs = [z.clone() for z in example]
        several = isinstance(function(*inputs), tuple)
        outs = [torch.empty_like(z) for z in self._parts(function(*inputs))]

        def replay(*given):
            for kept, new in zip(inputs, given, strict=True):
                kept.copy_(new)
            self.replayed += 1
            for kept, new in zip(outs, self._parts(function(*inputs)), strict=True):
                kept.copy_(new)
            return tuple(z.clone() for z in outs) if several else outs[0].clone()

        return replay

    @staticmethod
    def _parts(result):
        return result if isinstance(result, tuple) else (result,)


def doubled(z):
    return 2 * z


def on_cpu(recorder):
    return Graphs(recorder, ("cpu",))


def test_a_shape_that_comes_again_is_replayed_on_the_new_numbers():
    recorder = Recorder()
    graphs = on_cpu(recorder)
    for value in (1.0, 2.0, 3.0):
        assert graphs.run("doubled", doubled, torch.full((4,), value)).tolist() == [2 * value] * 4
    assert (recorder.captured, recorder.replayed) == (1, 2)
    graphs.run("doubled", doubled, torch.ones(5))
    graphs.run("another", doubled, torch.ones(5))
    assert recorder.captured == 3


def test_results_are_not_overwritten_by_the_next_replay():
    graphs = on_cpu(Recorder())
    graphs.run("doubled", doubled, torch.ones(2))
    first = graphs.run("doubled", doubled, torch.full((2,), 5.0))
    graphs.run("doubled", doubled, torch.full((2,), 7.0))
    assert first.tolist() == [10.0, 10.0]


def test_where_no_graph_can_be_captured_the_function_runs_as_it_is(caplog):
    graphs = on_cpu(Recorder(fails=True))
    for value in (1.0, 2.0):
        assert graphs.run("doubled", doubled, torch.full((4,), value)).tolist() == [2 * value] * 4
    assert caplog.text.count("going on without") == 1


def test_no_graph_is_used_where_operations_run_one_by_one():
    graphs = on_cpu(recorder := Recorder())
    for _ in range(3):
        with one_by_one():
            graphs.run("doubled", doubled, torch.ones(4))
    assert (recorder.captured, recorder.replayed) == (0, 0)


def test_graphs_are_bounded_and_kept_from_large_tensors_and_other_devices():
    recorder = Recorder()
    graphs = on_cpu(recorder)
    for length in range(1, MAX_GRAPHS + 3):
        graphs.run("doubled", doubled, torch.ones(length))
    assert len(graphs._known) == MAX_GRAPHS
    before = recorder.captured
    assert before == MAX_GRAPHS + 2
    graphs.run("doubled", doubled, torch.empty(2**25, device="meta"))
    graphs.run("doubled", doubled, torch.zeros(2**25))
    assert recorder.captured == before


def test_pictures_are_the_same_with_graphs_and_without(monkeypatch):
    """All that stages A and B do goes through a graph's fixed buffers, so nothing of an earlier window may linger."""
    scene = Scene(height=24, width=28, filaments=5, density=4.0, photons=1500.0, seed=6)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=80)])
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="emitters", quality="fast", tuning_steps=0)
    pictures = []
    recorder = Recorder()
    for graphs in (Graphs(), on_cpu(recorder)):
        model = learned(settings, raw[:40])
        model.learned = replace(model.learned, operators=replace(model.learned.operators, graphs=graphs))
        pictures.append(np.stack([result.picture for result in movie_windows(raw, model, 40, 20)]))
    assert recorder.replayed > recorder.captured > 1
    np.testing.assert_array_equal(*pictures)


def test_emitters_laid_out_and_fitted_as_on_a_card_are_those_of_a_cpu():
    generator, frames, side = np.random.default_rng(3), 6, 20
    grid, frame = Grid(side, side, 4, 100.0), np.sort(generator.integers(0, frames, 90))
    y_px, x_px = generator.uniform(-1, side + 1, (2, len(frame))).astype(np.float32)
    start = Emitters(*map(torch.as_tensor, (frame, y_px, x_px, np.full(len(frame), 300.0, np.float32))))
    y = torch.as_tensor(generator.poisson(14.0, (frames, side, side)).astype(np.float32))
    y[:, 5:9, 6:10] += 60.0
    inputs = y, start, torch.full_like(y, 10.0), torch.ones(grid.cells), Gaussian(110.0), grid
    recorder = Recorder()
    graphs = on_cpu(recorder)
    with torch.inference_mode():
        plain = localize(*inputs)
        with batched_on_cpu():
            as_on_card = [localize(*inputs, graphs=graphs) for _ in range(2)]
    assert len(plain) > 10
    assert recorder.replayed >= 7  # every fit, the second time
    for found in as_on_card:
        for field in fields(plain):
            torch.testing.assert_close(getattr(found, field.name), getattr(plain, field.name), rtol=0, atol=0)


def test_an_averaging_plan_by_graphs_is_the_same_and_one_of_other_distances_another_graph():
    def block(number, middle):
        c = torch.randn(25, 24, 20, generator=torch.Generator().manual_seed(number))
        return Block(25 * number, middle, sums_of(c, None, 25))

    even = [block(number, 25.0 * number) for number in range(6)]
    recorder = Recorder()
    graphs = on_cpu(recorder)
    with torch.inference_mode():
        plain = velocities(even)
        for _ in range(2):
            found = velocities(even, graphs)
            assert torch.equal(found.rigid, plain.rigid)
            assert torch.equal(found.local, plain.local)
            assert choose_averaging_plan(even, graphs).blocks == choose_averaging_plan(even).blocks
        captured = recorder.captured
        late = [*even[:-1], block(5, 140.0)]
        assert torch.equal(velocities(late, graphs).local, velocities(late).local)
    assert recorder.captured == captured + 1
    assert recorder.replayed >= 3


def test_scenes_are_compared_by_a_graph_as_without_and_large_frames_by_none(monkeypatch):
    generator = torch.Generator().manual_seed(4)

    def blinking():
        emitters = torch.rand(24, 20, generator=generator) > 0.9
        lit = emitters * (torch.rand(40, 24, 20, generator=generator) > 0.5)
        light = F.avg_pool2d(40.0 * lit[:, None], 3, 1, 1)[:, 0]
        return light + torch.randn(40, 24, 20, generator=generator)

    one, other = blinking(), blinking()
    c = one - one.mean(0)
    expected = torch.stack([(c * shifted(c, *lag)).mean(0) for lag in LAGS])
    recorder = Recorder()
    graphs = on_cpu(recorder)
    for _ in range(2):
        assert [detect_scene_change(expected, frames, graphs) for frames in (one, other)] == [False, True]
    assert (recorder.captured, recorder.replayed) == (1, 3)
    monkeypatch.setattr("selfstorm.compute.cuda_graphs.MAX_GRAPH_BYTES", one.nbytes)  # and the covariances
    assert [detect_scene_change(expected, frames, graphs) for frames in (one, other)] == [False, True]
    assert (recorder.captured, recorder.replayed) == (1, 3)
