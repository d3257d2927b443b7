"""Regions that show a constant instead of light leave no edge in the picture; beads neither."""

import numpy as np
import pytest
from streams import CPU, learned, reconstruct

from selfstorm.physics.bright_sources import bright_sources
from selfstorm.physics.masked import FieldMask, masked_pixels, mirrored_sources
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.checkpoint import load_checkpoint, save_checkpoint
from selfstorm.stream.settings import Settings

SIDE_PX, FRAMES = 40, 40
Y, X = np.mgrid[:SIDE_PX, :SIDE_PX]
MASKS = {
    "border": (np.minimum(Y, X) < 5) | (np.maximum(Y, X) >= SIDE_PX - 5),
    "half": X >= SIDE_PX // 2,
    "circle": (Y - 19.5) ** 2 + (X - 19.5) ** 2 > 17**2,
    "island": (abs(Y - 20) < 6) & (abs(X - 16) < 5),
}
SETTINGS = Settings(100.0, quality="fast", scale=2)


@pytest.fixture(scope="module")
def movie():
    scene = Scene(height=SIDE_PX, width=SIDE_PX, filaments=6, density=3.0, seed=8)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=FRAMES)])


@pytest.fixture(scope="module")
def whole(movie):
    return reconstruct(learned(SETTINGS, movie, CPU), movie)


def masked(movie, name, value=0):
    return np.where(MASKS[name], value, movie).astype(movie.dtype)


@pytest.mark.parametrize("name", ["border", "half", "island"])
def test_masks_are_found_and_filled_with_what_is_beside_them(movie, name):
    raw = masked(movie, name, 65_535)
    mask = FieldMask.found_in(raw)
    np.testing.assert_array_equal(mask.masked, MASKS[name])
    assert mask.filled(raw).max() < 65_535
    assert not MASKS[name][mask.clear_part].any()


def test_a_round_mask_is_found_but_for_its_corners(movie):
    mask = FieldMask.found_in(masked(movie, "circle"))
    assert not mask.masked[~MASKS["circle"]].any()
    assert mask.masked.sum() > 0.9 * MASKS["circle"].sum()


@pytest.mark.parametrize("name", ["border", "half", "island"])
def test_no_neighbours_are_filled_with_one_pixel(name):
    """They would share its noise, which a covariance takes for an emitter."""
    sources = mirrored_sources(MASKS[name])
    assert not MASKS[name].ravel()[sources].any()
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        same = sources[dy:, dx:] == sources[: SIDE_PX - dy, : SIDE_PX - dx]
        assert same.mean() < 0.02


@pytest.mark.parametrize("lowest", [0, 110, 140, 200])
def test_dark_pixels_that_are_clipped_are_no_mask(movie, lowest):
    assert not masked_pixels(np.maximum(movie, lowest) - lowest).any()


@pytest.mark.parametrize("name", ["border", "half"])
def test_a_mask_leaves_no_edge_and_nothing_is_drawn_in_it(movie, whole, name):
    raw, hidden = masked(movie, name), np.kron(MASKS[name], np.ones((2, 2), bool))
    result = reconstruct(learned(SETTINGS, raw, CPU), raw)
    assert not result.picture[hidden].any()
    assert np.corrcoef(result.picture[~hidden], whole.picture[~hidden])[0, 1] > 0.9
    y, x = (
        (z.numpy() / 100).astype(int).clip(0, SIDE_PX - 1) for z in (whole.localizations.y_nm, whole.localizations.x_nm)
    )
    assert len(result.localizations) == pytest.approx((~MASKS[name][y, x]).sum(), rel=0.2)
    assert any("shows a constant" in note for note in result.notes)
    assert result.raw_mean[MASKS[name]].max() == 0


def test_a_checkpoint_knows_the_mask(movie, tmp_path):
    raw = masked(movie, "half")
    model = learned(SETTINGS, raw, CPU)
    save_checkpoint(model.learned, tmp_path / "a.safetensors", "test")
    again = load_checkpoint(tmp_path / "a.safetensors", SETTINGS, raw.shape[1:], model.learned.compute)
    np.testing.assert_array_equal(again.calibration.mask.masked, MASKS["half"])


def test_a_bright_bead_leaves_its_neighbourhood_alone_and_a_bright_blink_is_no_bead(movie, whole):
    spot = np.exp(-((Y - 12.3) ** 2 + (X - 26.6) ** 2) / 2.4) / 7.6
    rng = np.random.default_rng(1)
    steady = (movie + 4.0 * rng.poisson(80_000 * spot, movie.shape)).clip(0, 65_535).astype(movie.dtype)
    result = reconstruct(learned(SETTINGS, steady, CPU), steady)
    far = np.kron(np.hypot(Y - 12.3, X - 26.6) > 9, np.ones((2, 2), bool))
    assert np.corrcoef(result.picture[far], whole.picture[far])[0, 1] > 0.9
    assert any("steady bright source" in note for note in result.notes)
    clipped = reconstruct(learned(SETTINGS, np.minimum(steady, 3_000), CPU), np.minimum(steady, 3_000))
    assert np.corrcoef(clipped.picture[far], whole.picture[far])[0, 1] > 0.9
    light = 20_000 * spot * (rng.random((FRAMES, 1, 1)) < 0.5)
    assert not bright_sources(movie / 4.0 + light).any()
    assert not bright_sources(movie / 4.0).any()
