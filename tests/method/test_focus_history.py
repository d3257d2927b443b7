"""A focus that leaves is told from a sample that bleaches, by the width of what blinks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from third_model import MeanStream

from selfstorm.metrics.registry import METRICS
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.engine import EngineWindow, StreamEngine
from selfstorm.stream.focus_history import FocusHistory
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.psf_learning import PsfLearning
from selfstorm.stream.settings import Settings

STRIDE = 40  # frames of a window, which show a width each
SHARP = Scene(height=36, width=36, filaments=5, na=1.4, wavelength_nm=670.0, density=3.0, photons=1_200.0, seed=8)
SETTINGS = Settings(100.0, Gaussian(95.0), 100.0, 4.0, scale=2, estimate="emitters", quality="fast", tuning_steps=0)


def pictures(*scenes):
    """Pictures of windows of one stride, each of a scene of its own."""
    learning, history, found = PsfLearning(), FocusHistory(), []
    drawn = MeanStream(SETTINGS, Compute(torch.device("cpu")))
    for number, scene in enumerate(scenes):
        raw = np.stack([pixels for pixels, _ in simulate(scene, start_frame=STRIDE * number, frames=STRIDE)])
        learning = learning.with_frames(torch.as_tensor((raw - 100.0) / 4)).assessed(SETTINGS)
        span = WindowSpan(STRIDE * number + np.arange(STRIDE), STRIDE * number, STRIDE)
        drawn.ingest(raw, span)
        width_nm = learning.focus.blinking_sigma_nm
        found.append(history.compare(replace(drawn.picture(span), metrics={"width_nm": width_nm})))
    return found


def levels(shown):
    """Levels of the focus, as an indicator shows them."""
    found = ["none"]
    for one in shown:
        value = one.metrics.get("defocus")
        found.append("none" if value is None else METRICS["defocus"].level(value, found[-1]))
    return found[1:]


def test_a_sample_that_defocuses_is_told_by_its_width_and_comes_back():
    blurred = replace(SHARP, psf_defocus_rad=0.6)  # a third of a micron
    shown = pictures(*[SHARP] * 5, *[blurred] * 4, *[SHARP] * 4)
    found = levels(shown)
    assert found[:7] == ["none"] * 4 + ["good"] * 3  # two windows that are wider are no drift
    assert (found[8], found[-1]) == ("warning", "good")
    assert any("the focus has moved. Refocus" in note for note in shown[8].notes)
    assert shown[8].metrics["width_nm"] > 1.15 * shown[4].metrics["width_nm"]


def test_a_sample_that_bleaches_or_dims_is_in_focus():
    bleaching = replace(SHARP, bleaching_half_life_frames=150.0)
    dimming = [replace(SHARP, photons=1_200.0 * 0.85**number) for number in range(10)]
    for scenes in ([bleaching] * 10, dimming):
        shown = pictures(*scenes)
        assert shown[-1].raw_mean.mean() < shown[0].raw_mean.mean() - 60
        assert set(levels(shown)) == {"none", "good"}
        assert shown[-1].metrics["defocus"] < 1.1


@pytest.fixture
def stream(monkeypatch):
    """An engine whose model shows the widths given, one a window; None where a window shows none."""
    picture = MeanStream.picture
    engine = StreamEngine(lambda first: MeanStream(SETTINGS, Compute(torch.device("cpu"))))

    def growths(*widths_nm, start=0):
        shown = iter(widths_nm)

        def with_width(self, *args, **kwargs):
            result, width_nm = picture(self, *args, **kwargs), next(shown)
            return result if width_nm is None else replace(result, metrics={**result.metrics, "width_nm": width_nm})

        monkeypatch.setattr(MeanStream, "picture", with_width)
        raw = np.random.default_rng(1).normal(size=(10 * len(widths_nm), 6, 8))
        found = []
        for number in range(len(widths_nm)):
            first = 10 * (start + number)
            span = WindowSpan(np.arange(first, first + 10), first, 10)
            window = EngineWindow(span, (6, 8), lambda numbers: raw[numbers - 10 * start])
            found.append(engine.reconstruct(window).result.metrics.get("defocus"))
        return found

    growths.engine = engine
    return growths


def test_the_median_of_the_newest_widths_is_compared_with_the_sharpest(stream):
    assert stream(100, 98, 102, 99, 101, 300, 103, 50, 104) == [None] * 4 + [1.0, 1.01, 1.02, 1.01, 1.03]


def test_a_window_that_shows_no_new_width_counts_none(stream):
    assert stream(100, 98, None, 102, 102, 99, 101, None)[4:] == [None, None, 1.0, None]


def test_the_history_outlives_a_model_but_not_a_run(stream, monkeypatch):
    monkeypatch.setattr(MeanStream, "misfits", [0.01] * 6 + [0.9] * 3)
    assert stream(100, 98, 102, 99, 101, 100.5, 200, 201, 202)[-1] == pytest.approx(2.0)
    assert stream.engine.model is None
    assert stream(203, start=9) == [pytest.approx(2.01)]
    stream.engine.restart()
    assert stream(100, start=10) == [None]
