"""The engine: what is rolled back, what is not, and what that leaves for the windows after it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from third_model import MeanStream

from selfstorm.psf.models import Gaussian
from selfstorm.reconstruction import Reconstruction
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream import memory_plan
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.covariance_history import MAX_BLOCKS_A_WINDOW
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.misfit_guard import MisfitGuard
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.offline import ArrayFrames, reconstruct_movie
from selfstorm.stream.settings import Settings

SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, scale=2, estimate="emitters", quality="fast", tuning_steps=0)
RAW = np.arange(120.0)[:, None, None] + np.random.default_rng(1).normal(size=(6, 8))


@pytest.fixture
def misfits(monkeypatch):
    """Misfits of the windows to come."""
    monkeypatch.setattr(MeanStream, "misfits", [])
    return MeanStream.misfits


def window(first, length=20, stride=10, before=()):
    span = WindowSpan(np.arange(first, first + length), first, stride)
    return EngineWindow(span, RAW.shape[1:], lambda numbers: RAW[numbers], np.array(before, np.int64))


def mean_engine():
    compute = Compute(torch.device("cpu"))
    return StreamEngine(lambda first_window: MeanStream(SETTINGS, compute))


def test_frames_of_a_rolled_back_window_are_left_out_of_the_next_and_then_learned_from_again(misfits):
    misfits += [0.01] * 3 + [0.9]
    engine = mean_engine()
    outcomes = [engine.reconstruct(window(first)) for first in (0, 10, 20, 30, 40, 50)]
    assert [one.learned for one in outcomes] == [True, True, True, False, True, True]
    assert outcomes[3].result.state == "rolled back"
    assert (
        outcomes[3].result.notes[0]
        == "The misfit jumped from 1.0% to 90.0%; the model does not learn from this window; do not trust this picture"
    )
    assert [one.result.frames for one in outcomes] == [20, 20, 20, 20, 10, 20]
    assert outcomes[4].result.notes == ("10 left out",)
    assert engine.model.frames_learned == 60


def test_the_model_before_a_rolled_back_window_is_the_same_object(misfits):
    misfits += [0.01] * 3 + [0.9]
    engine = mean_engine()
    for first in (0, 10, 20):
        engine.reconstruct(window(first))
    good = engine.model
    engine.reconstruct(window(30))
    assert engine.model is good


def test_after_three_jumps_in_a_row_a_new_model_learns_from_the_whole_next_window(misfits):
    misfits += [0.01] * 3 + [0.9] * 3
    engine = mean_engine()
    outcomes = [engine.reconstruct(window(first)) for first in (0, 10, 20, 30, 40, 50, 60)]
    assert [one.reset for one in outcomes] == [False] * 5 + [True, False]
    assert (outcomes[6].result.state, outcomes[6].result.frames) == ("cold", 20)
    assert outcomes[6].result.notes == ("0 left out",)


def test_a_window_that_fails_leaves_the_engine_as_it_was(misfits):
    engine = mean_engine()
    engine.reconstruct(window(0))
    good = engine.model

    def fail(model):
        raise RuntimeError("no such level")

    with pytest.raises(RuntimeError):
        engine.reconstruct(window(10), fail)
    assert engine.model is good
    assert engine.new_numbers(window(10)).tolist() == list(range(20, 30))
    engine.skip(window(10))
    assert engine.new_numbers(window(20)).tolist() == list(range(30, 40))
    assert engine.reconstruct(window(20)).result.notes == ("10 left out",)


def test_frames_of_skipped_windows_and_batches_are_ingested_once_in_order(misfits):
    engine = mean_engine()
    engine.reconstruct(window(0), batch=7)
    outcome = engine.reconstruct(window(50, before=range(20, 50)), batch=7)
    assert (outcome.result.frames, engine.model.frames_learned) == (20, 70)


def test_of_a_large_field_few_frames_are_ingested_together(misfits, monkeypatch):
    together = []
    monkeypatch.setattr(memory_plan, "MIN_FRAMES_TOGETHER", 1)
    monkeypatch.setattr(memory_plan, "MAX_PIXELS_TOGETHER", 30 * RAW[0].size)
    real = MeanStream.ingest
    monkeypatch.setattr(
        MeanStream, "ingest", lambda self, raw, span: together.append(len(raw)) or real(self, raw, span)
    )
    assert mean_engine().reconstruct(window(0, length=100)).result.frames == 100
    assert together == [30, 30, 30, 10]
    monkeypatch.undo()
    monkeypatch.setattr(memory_plan, "MAX_PIXELS_TOGETHER", 1)
    monkeypatch.setattr(
        MeanStream, "ingest", lambda self, raw, span: together.append(len(raw)) or real(self, raw, span)
    )
    mean_engine().reconstruct(window(0, length=100))
    assert together[4:] == [64, 36]  # fewer would change their trend


def test_a_window_ingested_in_parts_is_learned_from_as_one(monkeypatch):
    """Its frames are in the moments once, and in the blocks of covariances that one part would make."""
    raw, compute = simulated(400), Compute(torch.device("cpu"))
    settings = replace(SETTINGS, psf=None, estimate="density")
    histories, moments = [], []
    for together in (len(raw), 100):
        engine = StreamEngine(lambda first_window: new_model(settings, first_window, compute))
        window = EngineWindow(WindowSpan(np.arange(len(raw)), 0, len(raw)), raw.shape[1:], ArrayFrames(raw).read)
        learned = engine.reconstruct(window, batch=together).model.learned
        histories.append([block.sums.frames for block in learned.state.history.blocks])
        moments.append(learned.state.psf_learning.moments.pairs.sum())
    assert moments[0] == moments[1]
    assert histories[0] == histories[1] == [len(raw) // MAX_BLOCKS_A_WINDOW] * MAX_BLOCKS_A_WINDOW


def made(misfit, spread, state="warm"):
    """A picture with that misfit, of a mean frame with that standard deviation."""
    mean = np.array([[1.0, -1.0]], np.float32) * spread
    return Reconstruction(mean, mean, 1, "fused", 100, 100, state, 1, "", "", (), metrics={"misfit": misfit})


@pytest.mark.parametrize(
    ("windows", "alarm"),
    [
        ([(0.02, 100)] * 4 + [(0.9, 100)], True),
        ([(0.02, 100)] * 4 + [(0.2, 100)], False),  # too little to be sure
        ([(0.02, 100)] * 2 + [(0.9, 100)], False),  # too few windows before it
        ([(0.02, 100), (0.02, 80), (0.03, 60), (0.1, 20), (0.5, 10)], False),  # bleaching: less and less is unexplained
        ([(0.02, 100), (0.02, 80), (0.03, 60), (0.04, 40), (0.9, 30)], True),  # spoiled while it bleaches
        ([(0.02, 100)] * 20 + [(0.02, 10)] * 4 + [(0.9, 10)], True),  # spoiled after it bleached
    ],
)
def test_only_a_jump_that_bleaching_does_not_explain_raises_an_alarm(windows, alarm):
    guard = MisfitGuard()
    *before, last = [guard.reject(made(*one)) for one in windows]
    assert not any(before)
    assert bool(last) == alarm


def test_a_window_that_was_made_from_nothing_raises_no_alarm():
    guard = MisfitGuard()
    for _ in range(4):
        guard.reject(made(0.02, 100))
    assert not guard.reject(made(0.9, 100, "cold"))
    assert not guard.reject(made(0.9, 100, "scene changed"))


def simulated(frames=160):
    return np.stack([p for p, _ in simulate(Scene(height=24, width=28, filaments=5, seed=11), frames=frames)])


def states(raw):
    compute = Compute(torch.device("cpu"))
    engine = StreamEngine(lambda first_window: new_model(SETTINGS, first_window, compute))
    return [result.state for _, result in reconstruct_movie(ArrayFrames(raw), engine, 40, 20)]


def test_a_movie_that_bleaches_to_a_fiftieth_is_learned_from_to_the_end():
    raw = simulated(200).astype(float)
    pattern = 3.0 * np.random.default_rng(2).normal(size=raw.shape[1:])  # of the camera, which does not bleach
    bleached = 100 + (raw - 100) * np.exp(-np.arange(200) / 50)[:, None, None] + pattern
    assert set(states(bleached.astype(np.uint16))) == {"cold", "warm"}


def test_stripes_of_the_readout_are_rolled_back_and_the_windows_after_them_are_good():
    raw = simulated()
    raw[100:120, :, ::2] += 300
    assert states(raw) == ["cold", "warm", "warm", "warm", "rolled back", "warm", "warm"]
