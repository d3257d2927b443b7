"""A preview of a known scene waits for nothing that only makes later pictures better."""

from dataclasses import replace

import numpy as np
import pytest
from streams import CPU, learned

from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.settings import Settings

SETTINGS = Settings(100.0, None, 100.0, 4.0, scale=2, estimate="density", quality="fast", tuning_steps=3)
WINDOW, STRIDE, WINDOWS = 50, 25, 4
LEARNING = {"optics", "averaging", "held out"}


@pytest.fixture(scope="module")
def raw():
    scene = Scene(height=20, width=24, filaments=4, density=4.0, photons=1200.0, seed=3)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=WINDOW + (WINDOWS - 1) * STRIDE)])


def windows(raw, previews):
    """Pictures and what was done before each preview."""
    model, made, steps = learned(SETTINGS, raw[:WINDOW], CPU), [], []
    for number in range(WINDOWS):
        first, marks = number * STRIDE, []
        span = WindowSpan(np.arange(first, first + WINDOW), first, STRIDE)
        new = span.numbers[span.numbers > model.last_number]
        model.ingest(raw[new], replace(span, numbers=new))
        shown = (lambda result, marks=marks: steps.append(LEARNING & set(marks))) if previews else None
        made.append(model.picture(span, None, ProgressCallbacks(mark=marks.append), shown))
        assert set(marks) >= LEARNING
    return made, steps


def test_only_the_first_preview_of_a_scene_waits_for_what_is_learned(raw):
    _, steps = windows(raw, previews=True)
    assert steps == [LEARNING, set(), set(), set()]


def test_previews_change_nothing_of_the_refined_pictures(raw):
    for one, other in zip(windows(raw, previews=True)[0], windows(raw, previews=False)[0], strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
        assert (one.optics, one.memory, one.notes) == (other.optics, other.memory, other.notes)
