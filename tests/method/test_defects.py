"""A hot pixel or a flash does not spoil a picture; an emitter is never taken for either."""

import numpy as np
import pytest
import torch
from streams import learned, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.physics.bad_data import dark_among, flashes, hot_pixels, interpolate_hot_pixels, levels, saturation_level
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import GaussianPsf, Scene, place, simulate
from selfstorm.stages.saturation import restore_saturated
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import TooFewFramesError

CPU = prepare_device("cpu")


@pytest.fixture(scope="module")
def clean():
    scene = Scene(height=30, width=34, filaments=5, density=1.5, seed=9)
    return np.stack([pixels for pixels, _ in simulate(scene, frames=40)])


def made(raw):
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast")
    return reconstruct(learned(settings, raw, CPU), raw)


def flashed(photons):
    return flashes(levels(photons), levels(photons))


def test_hot_pixels_are_found_and_nothing_else(clean):
    assert not hot_pixels(clean).any()
    raw = clean.copy()
    raw[:, 4, 7] = 60_000
    raw[:, 0, 33] += 3_000
    assert np.argwhere(hot_pixels(raw)).tolist() == [[0, 33], [4, 7]]


@pytest.mark.parametrize("pixel_nm", [65.0, 100.0, 160.0, 300.0])
def test_a_lone_emitter_in_the_middle_of_a_pixel_is_no_hot_pixel(pixel_nm):
    """300 nm pixels are nearly as wide as the whole spot."""
    middle = np.array([9.5 * pixel_nm])
    spot = place(middle, middle, np.array([5000.0]), (20, 20), psf=GaussianPsf(110.0), pixel_nm=pixel_nm)
    frames = np.random.default_rng(0).poisson(spot + 5.0, (50, 20, 20))
    assert not hot_pixels(frames).any()


def test_mending_takes_the_neighbours_that_are_good():
    frames = np.arange(2 * 5 * 6, dtype=np.float32).reshape(2, 5, 6)
    hot = np.zeros((5, 6), bool)
    hot[2, 2] = hot[2, 3] = hot[0, 0] = True
    spoiled = np.where(hot, np.float32(1e6), frames)
    out = interpolate_hot_pixels(spoiled, hot)
    assert out.max() < 60
    assert np.array_equal(out[:, ~hot], frames[:, ~hot])
    assert out[0, 0, 0] == np.median([1, 6, 7])
    assert spoiled.max() == 1e6


def test_a_hot_pixel_does_not_spoil_the_picture(clean):
    raw = clean.copy()
    raw[:, 12, 11] = 60_000
    good, mended_result = made(clean), made(raw)
    assert any("1 hot pixel replaced" in note for note in mended_result.notes)
    assert np.corrcoef(good.picture.ravel(), mended_result.picture.ravel())[0, 1] > 0.97


def test_a_flash_is_left_out_and_told(clean):
    raw = clean.copy()
    raw[17] = 65_535
    raw[18] = raw[18] + 20_000
    assert np.flatnonzero(flashed((raw - 100.0) / 4)).tolist() == [17, 18]
    result = made(raw)
    assert result.frames == 38
    assert any("2 frames left out" in note for note in result.notes)
    assert not {17, 18} & set(result.localizations.frame.tolist())
    good = made(clean)
    assert np.corrcoef(good.picture.ravel(), result.picture.ravel())[0, 1] > 0.9  # two of 40 frames are missing


def test_bleaching_and_blinking_are_no_flash():
    fading = [p for p, _ in simulate(Scene(height=30, width=30, bleaching_half_life_frames=25, seed=2), frames=100)]
    assert not flashed((np.stack(fading) - 100.0) / 4).any()
    sparse = [p for p, _ in simulate(Scene(height=30, width=30, background_photons=0, density=0.5, seed=2), frames=60)]
    assert not flashed((np.stack(sparse) - 100.0) / 4).any()


def test_noise_alone_gives_an_empty_picture_that_says_so():
    raw = np.random.default_rng(1).normal(1000, 12, (60, 30, 30)).astype(np.uint16)
    result = made(raw)
    assert result.picture.sum() == 0 or len(result.localizations) < 5
    assert result.metrics["misfit"] < 0.5


def test_frames_without_light_are_left_out_and_the_picture_stays(clean):
    """A shutter that closes for a while: what the light shows before and after it is one movie."""
    dark = np.random.default_rng(3).normal(100, 6, (12, *clean.shape[1:])).astype(clean.dtype)
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast")
    model = learned(settings, clean, CPU)
    reconstruct(model, clean)
    result = reconstruct(model, np.concatenate([dark[:4], clean[:20], dark[4:]]))
    assert (result.frames, result.state) == (20, "warm")
    assert "12 frames left out: recorded while the light was off" in result.notes


def dark_frames_like(clean, count):
    return np.random.default_rng(4).normal(100, 6, (count, *clean.shape[1:])).astype(clean.dtype)


@pytest.mark.parametrize("order", ["few first", "most first", "alternating"])
def test_dark_frames_do_not_count_however_many_they_are(clean, order):
    """Neither for camera and PSF, which nobody gives here, nor in the picture."""
    dark = dark_frames_like(clean, {"few first": 10, "most first": 60, "alternating": len(clean)}[order])
    raw = np.stack([dark, clean], 1).reshape(-1, *clean.shape[1:]) if order == "alternating" else np.r_[dark, clean]
    settings = Settings(100.0, quality="fast", estimate="density")
    results = [reconstruct(learned(settings, frames, CPU), frames) for frames in (raw, clean)]
    assert np.array_equal(results[0].picture, results[1].picture)
    assert results[0].camera == results[1].camera
    assert f"{len(dark)} frames left out: recorded while the light was off" in results[0].notes


def test_dark_frames_are_left_out_where_the_offset_is_below_them(clean):
    raw = np.r_[dark_frames_like(clean, 10), clean]
    settings = Settings(100.0, Gaussian(110.0), 60.0, 4.0, estimate="density", quality="fast")
    assert reconstruct(learned(settings, raw, CPU), raw).frames == len(clean)


def test_dark_frames_are_left_out_of_parts_that_hold_no_others(clean):
    raw = np.r_[dark_frames_like(clean, 20), clean]
    model = learned(Settings(100.0, quality="fast", estimate="density"), raw, CPU)
    for first in (0, 20):
        model.ingest(raw[first : first + 20], WindowSpan(np.arange(first, first + 20), 0, len(raw)))
    model.ingest(raw[40:], WindowSpan(np.arange(40, len(raw)), 0, len(raw)))
    assert model.picture(WindowSpan(np.arange(len(raw)), 0, len(raw))).frames == len(clean)


def test_half_the_light_and_flashes_leave_no_dark_frames(clean):
    half = ((clean - 100.0) / 2 + 100).astype(clean.dtype)
    for frames in (clean, np.r_[half, clean], np.r_[clean, np.full((3, *clean.shape[1:]), 60_000, clean.dtype)]):
        assert not dark_among(frames, levels(frames)).any()


def test_a_stream_that_begins_in_the_dark_is_learned_once_there_is_light(clean):
    dark = dark_frames_like(clean, 40)
    settings = Settings(100.0, quality="fast", estimate="density")
    model = learned(settings, dark, CPU)
    assert "assumed" in reconstruct(model, dark).camera
    result, alone = reconstruct(model, clean), reconstruct(learned(settings, clean, CPU), clean)
    assert (result.camera, result.optics) == (alone.camera, alone.optics)
    assert np.corrcoef(result.picture.ravel(), alone.picture.ravel())[0, 1] > 0.99


def test_a_sample_that_stays_dim_is_looked_at_after_a_while(clean):
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast")
    model = learned(settings, clean, CPU)
    reconstruct(model, clean)
    dim = ((clean - 100.0) * 0.1 + 100).astype(clean.dtype)
    for _ in range(500 // len(dim)):
        with pytest.raises(TooFewFramesError, match="while the light was off"):
            reconstruct(model, dim)
    assert reconstruct(model, dim).frames == len(dim)


def test_light_that_stays_brighter_is_no_flash(clean):
    settings = Settings(100.0, Gaussian(110.0), 100.0, 4.0, estimate="density", quality="fast")
    model = learned(settings, clean, CPU)
    reconstruct(model, clean)
    assert reconstruct(model, (clean - 100) * 9 + 100).frames == len(clean)


def test_saturation_is_seen_only_where_values_pile_up(clean):
    rng = np.random.default_rng(3)
    assert saturation_level(clean) == np.inf
    assert saturation_level(np.minimum(clean, 500)) == 500
    for unsaturated in (rng.poisson(3, (50, 30, 30)), rng.poisson(80, (50, 30, 30)), np.full((20, 8, 8), 7)):
        assert saturation_level(unsaturated) == np.inf


def test_saturated_pixels_are_restored_and_reported():
    scene = Scene(height=24, width=24, filaments=4, density=3, photons=1500, seed=12)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=40)])
    clipped = np.minimum(raw, int(np.quantile(raw, 0.96)))
    full, clean_picture, picture = clipped == clipped.max(), made(raw), made(clipped)
    y, where = (torch.as_tensor(z) for z in ((clipped - 100) / np.float32(4), full))
    restored = restore_saturated(y, where, Gaussian(110.0), 100.0).numpy()
    assert np.array_equal(restored[~full], y.numpy()[~full])
    error, before = (np.abs(z - (raw - 100) / 4)[full].mean() for z in (restored, y.numpy()))
    assert error < 0.85 * before
    assert any("saturated" in note for note in picture.notes)
    assert not any("saturated" in note for note in clean_picture.notes)
