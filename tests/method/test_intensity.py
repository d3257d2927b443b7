"""Pictures of all levels and windows are in one unit, expected photons per SR cell and frame."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from streams import learned

from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.processing_level import degradation_ladder
from selfstorm.stream.settings import Settings

KNOWN = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)
CELLS = 4 * KNOWN.scale  # a side of the areas whose light is compared: coarser than any estimate's resolution


@pytest.fixture(scope="module")
def movie():
    return list(simulate(Scene(height=32, width=32, seed=12), frames=100))


@pytest.fixture(scope="module")
def raw(movie):
    return np.stack([pixels for pixels, _ in movie])


@pytest.fixture(scope="module")
def pictures(raw):
    """The preview and the picture of every level of the same window, and of its first frames, by name."""
    made = {}
    for level in degradation_ladder(KNOWN.level):
        stream = learned(KNOWN, raw)
        stream.ingest(raw, WindowSpan(np.arange(len(raw)), 0, len(raw)))
        preview = partial(made.__setitem__, "preview")
        made[level.name] = stream.picture(WindowSpan(np.arange(len(raw)), 0, len(raw)), level, preview=preview)
    fewer = learned(KNOWN, raw[:40])
    fewer.ingest(raw[:40], WindowSpan(np.arange(40), 0, 40))
    return made | {"fewer frames": fewer.picture(WindowSpan(np.arange(40), 0, 40), replace(KNOWN.level))}


def light(picture):
    """Sum the light over areas of CELLS x CELLS: what a locked contrast shows, whatever the resolution."""
    rows, columns = (side // CELLS for side in picture.shape)
    return picture.reshape(rows, CELLS, columns, CELLS).sum((1, 3))


def test_a_locked_contrast_fits_every_level(pictures):
    full = light(pictures["full"].picture)
    bright = full > np.median(full)
    for name, made in pictures.items():
        ratio = light(made.picture)[bright].sum() / full[bright].sum()
        assert 0.8 < ratio < 1.2, f"{name}: {ratio:.2f} times as bright"
    assert {made.unit for made in pictures.values()} == {"photons/frame"}


def test_the_unit_is_photons(movie, pictures):
    emitted = sum(emitters[:, -1].sum() for _, emitters in movie) / len(movie)
    assert pictures["full"].picture.sum() == pytest.approx(emitted, rel=0.3)  # faint emitters are missed


def test_a_reduced_picture_shows_no_localizations_of_an_earlier_level(raw):
    """Those of its older frames alone would be judged as if they were the picture's."""
    stream = learned(KNOWN, raw[:80])
    stream.ingest(raw[:80], WindowSpan(np.arange(80), 0, 20))
    full = stream.picture(WindowSpan(np.arange(80), 0, 20))
    stream.ingest(raw[80:], WindowSpan(np.arange(80, 100), 20, 20))
    emitters = next(level for level in degradation_ladder(KNOWN.level) if level.estimate == "emitters")
    reduced = stream.picture(WindowSpan(np.arange(20, 100), 20, 20), emitters)
    assert (full.localizations is None, reduced.localizations) == (False, None)
    assert "fidelity" in full.metrics
    assert not {"fidelity", "resolution_nm", "emitters_per_frame"} & reduced.metrics.keys()
