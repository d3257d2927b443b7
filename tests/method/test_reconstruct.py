"""Pictures: the grid convention, the scores, determinism, warm start, emptiness where nothing is."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from streams import learned, movie_windows, reconstruct

from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.io.truth import read_truth
from selfstorm.metrics.ground_truth import score_picture
from selfstorm.psf.models import Airy, Gaussian
from selfstorm.simulation.movie import GaussianPsf, Scene, place, simulate
from selfstorm.stream.frame_store import WindowSpan, numbers_of
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import TooFewFramesError

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the repository")
CPU = prepare_device("cpu")


def picture_of(raw, **chosen):
    settings = Settings(
        **({"pixel_nm": 100.0, "psf": Gaussian(110.0), "offset_adu": 0.0, "gain_adu_per_electron": 1.0} | chosen)
    )
    return reconstruct(learned(settings, raw, CPU), raw)


def blinking_emitter(shape, y_nm, x_nm, frames=100, seed=0):
    """One emitter that is on in half of the frames, on a weak background."""
    rng = np.random.default_rng(seed)
    spot = place(np.array([y_nm]), np.array([x_nm]), np.array([3000.0]), shape, psf=GaussianPsf(110.0), pixel_nm=100.0)
    on = rng.random(frames) < 0.5
    return rng.poisson(on[:, None, None] * spot + 5.0).astype(np.uint16)


# Cells of 50 nm are wider than sparse estimates are exact, so at scale 2 the density is looked at.
@pytest.mark.parametrize(
    ("scale", "estimate"),
    [(2, "density"), (2, "fused"), (4, "density"), (4, "emitters"), (4, "fused"), (8, "density"), (8, "fused")],
)
@pytest.mark.parametrize(
    ("shape", "y_nm", "x_nm"),
    [((32, 32), 1512.0, 1687.0), ((24, 40), 1141.0, 2303.0), ((27, 31), 1350.0, 1550.0), ((33, 20), 2018.5, 931.5)],
    ids=["square", "rectangle", "odd", "odd-rectangle"],
)
def test_an_emitter_is_where_it_was_put(shape, y_nm, x_nm, scale, estimate):
    result = picture_of(blinking_emitter(shape, y_nm, x_nm), scale=scale, estimate=estimate)
    assert result.picture.shape == (shape[0] * scale, shape[1] * scale)
    pitch_nm = 100.0 / scale
    rows, columns = ((np.arange(n) + 0.5) * pitch_nm for n in result.picture.shape)
    near = (np.abs(rows[:, None] - y_nm) < 250) & (np.abs(columns - x_nm) < 250)
    light = result.picture * near
    centroid = (light.sum(1) @ rows / light.sum(), light.sum(0) @ columns / light.sum())
    assert np.hypot(centroid[0] - y_nm, centroid[1] - x_nm) < 2.0
    assert light.sum() > 0.95 * result.picture.sum()


@pytest.mark.parametrize("seed", range(6))
def test_an_emitter_that_never_blinks_is_found_too(seed):
    """The density is made of fluctuations and does not see it; the mean frame does."""
    rng = np.random.default_rng(seed)
    y_nm, x_nm = rng.uniform(700, 1400, 2)
    one = (np.array([value]) for value in (y_nm, x_nm, 3000.0))
    spot = place(*one, (21, 23), psf=GaussianPsf(110.0), pixel_nm=100.0)
    picture = picture_of(rng.poisson(spot + 5.0, (60, 21, 23)).astype(np.uint16)).picture
    rows, columns = ((np.arange(n) + 0.5) * 25.0 for n in picture.shape)
    near = picture * ((np.abs(rows[:, None] - y_nm) < 250) & (np.abs(columns - x_nm) < 250))
    centroid = (near.sum(1) @ rows / near.sum(), near.sum(0) @ columns / near.sum())
    assert np.hypot(centroid[0] - y_nm, centroid[1] - x_nm) < 6.0
    assert near.sum() > 0.95 * picture.sum()


def test_an_emitter_outside_the_field_does_no_harm():
    """It shines in from 150 nm beyond the edge; nothing may be piled up inside."""
    inside = blinking_emitter((32, 32), 1600.0, 1600.0)
    outside = blinking_emitter((32, 32), 1600.0, -150.0, seed=1)
    picture = picture_of(inside + outside).picture
    light_in_the_middle = picture[:, 40:].sum()
    assert picture[:, :12].sum() < 0.1 * light_in_the_middle


@needs_data
@pytest.mark.parametrize(
    ("frames", "pearson", "ssim", "resolution_nm"), [(100, 0.975, 0.97, 40), (361, 0.989, 0.98, 38)]
)
def test_public_benchmark(frames, pearson, ssim, resolution_nm):
    raw = tifffile.imread(DATA / "bundled_tubulins_hd.tif")[:frames]
    truth = read_truth(DATA / "bundled_tubulins_hd_emitters.csv.gz")
    result = picture_of(raw, offset_adu=100.0, gain_adu_per_electron=4.0, scale=8)
    score = score_picture(result.picture, truth[truth[:, 0] < frames, 1:3], 12.5)
    assert score.pearson >= pearson
    assert score.ssim >= ssim
    assert score.gt_frc_nm <= resolution_nm


@needs_data
def test_nothing_given_but_the_pixel_size_costs_little():
    raw = tifffile.imread(DATA / "bundled_tubulins_hd.tif")[:100]
    truth = read_truth(DATA / "bundled_tubulins_hd_emitters.csv.gz")
    result = picture_of(raw, psf=None, offset_adu=None, gain_adu_per_electron=None)
    score = score_picture(result.picture, truth[truth[:, 0] < 100, 1:3], 25.0)
    assert score.pearson >= 0.965
    assert "learned" in result.optics
    assert "estimated" in result.camera


def movie(frames, **scene):
    shots = list(simulate(Scene(**scene), frames=frames))
    return np.stack([pixels for pixels, _ in shots]), np.concatenate([emitters for _, emitters in shots])


def test_same_window_same_picture():
    raw, _ = movie(40, height=33, width=47, seed=1)
    settings = Settings(100.0, quality="fast")
    models = [learned(settings, raw[:20], CPU) for _ in range(2)]
    first, second = (movie_windows(raw, model, 20, 10) for model in models)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.picture, b.picture)
    assert [result.state for result in first] == ["cold", "warm", "warm"]


def test_a_stride_costs_its_own_frames_alone():
    """What was made of a frame is kept while any window holds the frame, and forgotten then.

    But for the first: where to look in them was known from 20 frames, and the second window knows of 30.
    """
    raw, _ = movie(50, height=24, width=26, density=1.0, seed=2)
    model, looked_at, kept = learned(Settings(100.0, quality="fast"), raw, CPU), [], []
    for first in (0, 10, 20, 30):
        place = WindowSpan(np.arange(first, first + 20), first, 10)
        result = reconstruct(model, raw[first : first + 20], place)
        assert numbers_of(model.learned.state.buffer).tolist() == list(range(first, first + 20))
        looked_at.append(result.looked_at)
        kept.append(sorted(set(result.localizations.frame.tolist())))
    assert looked_at == [20, 20, 10, 10]
    assert kept[-1][0] >= 30
    assert kept[-1][-1] <= 49


def test_windows_with_missing_frames_share_what_they_have():
    raw, _ = movie(40, height=24, width=26, density=1.0, seed=2)
    model = learned(Settings(100.0, quality="fast"), raw, CPU)
    for first in (0, 10, 20):
        numbers = np.array([k for k in range(first, first + 20) if k not in (3, 10, 17, 25)])
        reconstruct(model, raw[numbers], WindowSpan(numbers, first, 10))
        assert numbers_of(model.learned.state.buffer).tolist() == numbers.tolist()


@pytest.fixture
def whole_and_tiled(monkeypatch):
    """Reconstruct a movie with dense matrices and with blocks of 16 pixels: sums are rounded in another order."""

    def both(**chosen):
        raw, _ = movie(24, height=70, width=45, seed=4)
        chosen |= {"offset_adu": 100.0, "gain_adu_per_electron": 4.0, "quality": "fast"}
        whole = picture_of(raw, **chosen)
        monkeypatch.setattr("selfstorm.physics.band_matrices.DENSE_PX", 16)
        monkeypatch.setattr("selfstorm.physics.band_matrices.BLOCK_PX", 16)
        return whole, picture_of(raw, **chosen)

    return both


def test_tiles_leave_no_seam(whole_and_tiled):
    whole, tiled = (result.picture for result in whole_and_tiled(estimate="density"))
    assert np.abs(tiled - whole).max() < 1e-3 * whole.max()


def test_tiles_find_the_same_emitters_but_for_decisions_that_rounding_turns(whole_and_tiled):
    """Emitters are kept, split and moved by decisions: rounding may turn a few, and those are counted apart.

    Other processors, and other kernels on the same one, round in other ways.
    """
    whole, tiled = whole_and_tiled()
    found, again = whole.localizations, tiled.localizations
    same = same_emitters(found, again)
    turned = len(found) + len(again) - 2 * same
    assert len(found) > 500
    assert turned <= 0.01 * (len(found) + len(again))
    assert np.abs(tiled.picture - whole.picture).sum() < 0.01 * whole.picture.sum()


def same_emitters(found, again):
    """Count the localizations that have another in the same frame, closer than half of their standard deviation."""
    (frame, y, x, sd), (others, y2, x2, _) = (
        [np.asarray(values) for values in (one.frame, one.y_nm, one.x_nm, one.sd_nm)] for one in (found, again)
    )
    apart_nm = np.hypot(y[:, None] - y2, x[:, None] - x2)
    apart_nm[frame[:, None] != others] = np.inf
    return int((apart_nm.min(1, initial=np.inf) < 0.5 * sd.min(1)).sum())


@pytest.mark.parametrize(("estimate", "scale"), [("emitters", 8), ("density", 2)])
def test_less_than_asked_for_still_has_the_size_asked_for(estimate, scale):
    """Under load the live engine makes less of a window; its pictures keep their grid."""
    raw = blinking_emitter((24, 31), 1240.0, 1570.0, frames=100)
    settings = Settings(100.0, Gaussian(110.0), 0.0, 1.0, scale=scale, quality="fast")
    model = learned(settings, raw, CPU)
    result = reconstruct(model, raw, level=ProcessingLevel(estimate, estimate, "fast"))
    assert result.estimate == estimate
    assert result.picture.shape == (24 * scale, 31 * scale)
    rows, columns = ((np.arange(n) + 0.5) * 100 / scale for n in result.picture.shape)
    total = result.picture.sum()
    centroid = (result.picture.sum(1) @ rows / total, result.picture.sum(0) @ columns / total)
    within = 12.5 if scale == 2 else 4.0  # four sharp cells become one, with their light in its middle
    assert np.hypot(centroid[0] - 1240.0, centroid[1] - 1570.0) < within


def test_emptiness_comes_out_empty():
    """Filaments fill part of the field; where no emitter ever was, next to no light may be put."""
    raw, emitters = movie(120, filaments=4, density=0.8, photons=600, background_photons=80, seed=3)
    picture = picture_of(raw, offset_adu=100.0, gain_adu_per_electron=4.0).picture
    rows, columns = ((np.arange(n) + 0.5) * 25.0 for n in picture.shape)
    away = np.full(picture.shape, np.inf)
    for y_nm, x_nm in np.unique(np.round(emitters[:, 1:3] / 50) * 50, axis=0):
        away = np.minimum(away, np.hypot(rows[:, None] - y_nm, columns - x_nm))
    empty = away > 250
    assert empty.mean() > 0.4
    assert picture[empty].sum() < 0.01 * picture.sum()


def test_airy_and_bleaching_run_too():
    raw, emitters = movie(80, na=1.4, wavelength_nm=660.0, flicker=0.03, bleaching_half_life_frames=100, seed=8)
    result = picture_of(raw, psf=Airy(1.4, 660.0), offset_adu=100.0, gain_adu_per_electron=4.0, quality="fast")
    assert result.metrics["misfit"] < 0.05  # against the frames as they were, bleaching and all
    blurred = score_picture(np.kron(raw.mean(0), np.ones((4, 4))), emitters[:, 1:3], 25.0)
    assert score_picture(result.picture, emitters[:, 1:3], 25.0).pearson > blurred.pearson + 0.2


@pytest.mark.parametrize("level", [0, 100, 65535])
def test_a_constant_movie_gives_an_empty_picture(level):
    raw = np.full((20, 16, 16), level, np.uint16)
    result = picture_of(raw, psf=None, offset_adu=None, gain_adu_per_electron=None)
    assert 0 <= result.picture.min() <= result.picture.max() < 1e-2
    assert any("assumed" in note for note in result.notes)


def test_a_field_too_small_to_say_anything_is_refused():
    with pytest.raises(InputError, match="field of 9 x 2 pixels"):
        learned(Settings(100.0), np.ones((20, 2, 9), np.uint16), CPU)


@pytest.mark.parametrize("shape", [(20, 32, 31), (32, 32)])
def test_frames_of_another_field_are_refused(shape):
    model = learned(Settings(100.0), np.ones((20, 32, 32), np.uint16), CPU)
    with pytest.raises(InputError, match="frames of shape"):
        model.ingest(np.ones(shape, np.uint16), WindowSpan(np.arange(20), 0, 20))


def test_the_model_is_unharmed_by_a_window_that_fails():
    raw, _ = movie(40, height=32, width=32, seed=1)
    model = learned(Settings(100.0, quality="fast"), raw, CPU)
    reconstruct(model, raw)
    before = model.learned.state.density
    with pytest.raises(TooFewFramesError, match="20 are not finite"):
        reconstruct(model, np.full((20, 32, 32), np.nan, np.float32))
    assert model.learned.state.density is before
    assert torch.isfinite(before).all()
