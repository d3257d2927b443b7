"""Localizations: as exact as the photons allow, pairs told apart, nothing where nothing is; their picture and table."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from streams import learned

from selfstorm.compute.batching import BatchLimits, batches
from selfstorm.compute.device import prepare_device
from selfstorm.errors import InputError
from selfstorm.io.localization_table import LocalizationTable, TableInfo
from selfstorm.io.thunderstorm import COLUMNS, ThunderstormWriter, read_thunderstorm
from selfstorm.io.truth import read_truth
from selfstorm.localizations import joined
from selfstorm.metrics.ground_truth import score_localizations, score_picture
from selfstorm.physics.background import fit_background
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Airy, Gaussian, Pupil
from selfstorm.simulation.movie import AiryPsf, GaussianPsf, place
from selfstorm.simulation.spots import AberratedPsf
from selfstorm.stages.candidates import candidates
from selfstorm.stages.covariances import window_statistics
from selfstorm.stages.density import cold_iterations, density
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stages.localization import localize
from selfstorm.stages.localization_settings import LocalizationSettings
from selfstorm.stages.rendering import fuse, render
from selfstorm.stream.frame_store import FrameBlock
from selfstorm.stream.per_frame import ProgressCallbacks, localize_block
from selfstorm.stream.searched_frames import Illumination
from selfstorm.stream.settings import Settings

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the repository")
prepare_device("cpu")
LIKE = torch.zeros(())
GAUSSIAN, AIRY = Gaussian(110.0), Airy(1.4, 660.0)
SIMULATED = {GAUSSIAN: GaussianPsf(110.0), AIRY: AiryPsf(1.4, 660.0)}


def expected(emitters, shape, psf=GAUSSIAN, background=10.0):
    """(H, W) photons of rows y_nm, x_nm, photons, by the simulator."""
    y, x, photons = np.asarray(emitters, float).reshape(-1, 3).T
    return place(y, x, photons, shape, psf=SIMULATED[psf], pixel_nm=100.0) + background


def noisy(pictures, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).poisson(pictures).astype(np.float32))


def localized(y, background=10.0, psf=GAUSSIAN, prior=None, start=None, effort=None):
    """Stage B under a flat density, and then the localizations."""
    grid = Grid(*y.shape[1:], scale=4, pixel_nm=100.0)
    prior = torch.ones(grid.cells) if prior is None else prior
    behind = torch.as_tensor(np.broadcast_to(background, y.shape).astype(np.float32))
    with torch.inference_mode():
        flat = torch.full((len(y), 1, 1), 0.05) if start is None else start
        maps = emitter_maps(Imaging(psf, grid, LIKE), y + 1e-3, prior, flat, behind, EMITTER_SETTINGS["best"])
        return localize(y, candidates(maps, grid), behind, prior, psf, grid, effort)


def table(found):
    return torch.stack([found.frame.float(), found.y_nm, found.x_nm], 1).numpy()


def cramer_rao_nm(emitter, shape, psf):
    """Least sd along y of the position and photons fitted together, by difference quotients of the simulator."""
    y, x, photons = emitter
    mu = expected([emitter], shape, psf)
    moved = [
        (expected([(y + 1, x, photons)], shape, psf) - expected([(y - 1, x, photons)], shape, psf)) / 2,
        (expected([(y, x + 1, photons)], shape, psf) - expected([(y, x - 1, photons)], shape, psf)) / 2,
        (mu - 10.0) / photons,
    ]
    information = np.array([[(a * b / mu).sum() for a in moved] for b in moved])
    return np.sqrt(np.diag(np.linalg.inv(information))[:2])


SPURIOUS = Pupil(1.42, 670.0, (-0.11, 0.12, 0.03, 0.15, 0.25, -0.27))  # fitted to a movie of an Airy PSF


@pytest.mark.parametrize("fitted", [SPURIOUS, SPURIOUS.turned()], ids=["coma", "its twin"])
def test_a_psf_that_is_fitted_again_leaves_emitters_where_they_are(fitted):
    """Coma that chance put into a fit moved everything by 6 and 7 nm, and its twin by as much the other way."""
    at = np.stack(np.meshgrid(*2 * [np.arange(1000.0, 4100.0, 1011.0)]), -1).reshape(-1, 2)
    emitters = np.concatenate([at, np.full((len(at), 1), 800.0)], 1)
    y = torch.as_tensor(expected(emitters, (50, 50), AIRY, 40.0).astype(np.float32))[None]
    found = [table(localized(y, 40.0, psf))[:, 1:] for psf in (AIRY, fitted)]
    nearest = [one[np.hypot(*(one[:, None] - at).T).T.argmin(0)] for one in found]
    assert np.abs(nearest[0] - at).max() < 3
    assert np.abs((nearest[1] - nearest[0]).mean(0)).max() < 1.5


def test_emitters_of_a_psf_with_coma_are_where_the_simulator_put_them():
    ours = Pupil(1.4, 660.0, (0.2, 0.0, 0.0, 0.0, 0.5, 0.0))
    theirs = AberratedPsf(1.4, 660.0, defocus_rad=0.2, coma_x_rad=0.5)
    at = np.stack(np.meshgrid(*2 * [np.arange(1000.0, 4100.0, 1011.0)]), -1).reshape(-1, 2)
    seen = place(*at.T, np.full(len(at), 800.0), (50, 50), psf=theirs, pixel_nm=100.0) + 40.0
    y = torch.as_tensor(seen.astype(np.float32))[None]
    with_coma, without = (table(localized(y, 40.0, psf))[:, 1:] for psf in (ours, AIRY))
    for found, accuracy in ((with_coma, 1.5), (without, 3.0)):
        nearest = found[np.hypot(*(found[:, None] - at).T).T.argmin(0)]
        assert np.abs((nearest - at).mean(0)).max() < accuracy


@pytest.mark.parametrize("psf", [GAUSSIAN, AIRY], ids=["gaussian", "airy"])
@pytest.mark.parametrize(
    ("shape", "y_nm", "x_nm"),
    [((24, 24), 1210.0, 1187.0), ((17, 29), 851.0, 2133.0), ((21, 20), 130.0, 1960.0)],
    ids=["square", "odd", "at-the-edge"],
)
def test_one_emitter_is_found_as_exactly_as_its_photons_allow(shape, y_nm, x_nm, psf):
    frames, emitter = 150, (y_nm, x_nm, 1000.0)
    y = noisy(np.broadcast_to(expected([emitter], shape, psf), (frames, *shape)))
    found = localized(y, psf=psf)
    near = found.where(torch.hypot(found.y_nm - y_nm, found.x_nm - x_nm) < 60)
    assert len(torch.unique(near.frame)) >= 0.98 * frames
    assert len(found) - len(near) <= 0.06 * frames
    errors = np.stack([near.y_nm.numpy() - y_nm, near.x_nm.numpy() - x_nm])
    bound = cramer_rao_nm(emitter, shape, psf)
    assert (np.sqrt((errors**2).mean(1)) < 1.2 * bound).all()
    assert (np.abs(errors.mean(1)) < 0.35 * bound).all()
    if 200 < x_nm < 100 * shape[1] - 200:  # at the edge position and photons are not told apart so well
        assert near.sd_nm.mean(0).numpy() == pytest.approx(bound, rel=0.15)
    assert float(near.photons.mean()) == pytest.approx(1000.0, rel=0.06)
    assert float(near.crowding.median()) == pytest.approx(1.0, abs=1e-3)
    assert float(near.background_photons.mean()) == pytest.approx(10.0, rel=1e-4)
    assert float(near.background_sd.mean()) == pytest.approx(math.sqrt(10.0), rel=0.1)


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.2])
def test_two_emitters_150_nm_apart_are_two(angle):
    dy, dx = 75 * math.sin(angle), 75 * math.cos(angle)
    pair = [(1030 + dy, 970 + dx, 1500.0), (1030 - dy, 970 - dx, 1500.0)]
    y = noisy(np.broadcast_to(expected(pair, (20, 20)), (60, 20, 20)), seed=1)
    found = localized(y)
    true = [(frame, *emitter[:2]) for frame in range(60) for emitter in pair]
    score = score_localizations(table(found), true, 75.0)
    assert score.recall > 0.95
    assert score.precision > 0.95
    assert score.rmse_nm < 25
    assert found.crowding.min() > 1.05
    one = localized(y, effort=LocalizationSettings(rounds=0, min_ratio=1e4))
    assert len(one) < len(found)


def test_empty_frames_give_nothing():
    y = noisy(np.full((40, 25, 31), 10.0))
    y[7] = noisy(expected([(1200.0, 1500.0, 1500.0)], (25, 31)))
    found = localized(y)
    assert found.frame.tolist() == [7]
    none = localized(y[:5])
    assert len(none) == 0
    assert none.sd_nm.shape == (0, 2)
    assert len(joined([none, found])) == 1


def test_an_emitter_outside_the_field_is_not_reported_and_harms_no_neighbour():
    emitters = [(1000.0, -130.0, 3000.0), (1000.0, 210.0, 1000.0)]
    y = noisy(np.broadcast_to(expected(emitters, (20, 22)), (60, 20, 22)), seed=2)
    found = localized(y)
    assert found.x_nm.min() >= 0
    inside = found.where((found.x_nm - 210).abs() < 75)
    assert len(inside) == pytest.approx(60, abs=3)
    assert abs(float(inside.x_nm.mean()) - 210) < 25  # where the other is cannot be told well from its tail alone
    assert len(found) < 75


def test_a_background_of_every_frames_own():
    level = np.linspace(5, 80, 40)[:, None, None]
    y = noisy(expected([(1000.0, 1100.0, 2000.0)], (20, 23), background=0.0) + level)
    found = localized(y, background=level)
    near = found.where(torch.hypot(found.y_nm - 1000, found.x_nm - 1100) < 60)
    assert near.frame.tolist() == list(range(40))
    assert near.background_photons.numpy() == pytest.approx(level[:, 0, 0], rel=1e-4)
    assert float(near.photons.mean()) == pytest.approx(2000, rel=0.05)
    assert near.sd_nm[-1, 0] > 1.5 * near.sd_nm[0, 0]


def test_batches_leave_no_trace():
    rng = np.random.default_rng(3)
    pictures = [
        expected(np.column_stack([rng.uniform(0, 3000, (12, 2)), np.full(12, 900.0)]), (30, 30)) for _ in range(9)
    ]
    y = noisy(np.stack(pictures), seed=4)
    settings = Settings(100.0, GAUSSIAN, 0.0, 1.0)
    model = learned(settings, y.numpy())
    light = Illumination(torch.ones(model.learned.grid.cells), torch.full_like(y, 10.0), torch.ones((len(y), 1, 1)))
    strip, done = FrameBlock(np.arange(len(y)), y, torch.zeros(len(y), 1, 1), y.sum(0).numpy()), []
    with torch.inference_mode():
        whole = localize_block(model.learned, strip, light, "fused", "best", ProgressCallbacks(done.append)).found
        model.compute.limits = BatchLimits(map_bytes=1, emitters=20)  # a frame at a time
        parts = localize_block(model.learned, strip, light, "fused", "best", ProgressCallbacks(done.append)).found
    assert done[0] == sum(done[1:]) == len(y)
    assert len(done) > 3
    assert parts.frame.tolist() == whole.frame.tolist() == sorted(whole.frame.tolist())
    assert torch.allclose(parts.y_nm, whole.y_nm, atol=0.5)


def test_candidates_by_hand():
    grid = Grid(5, 6, scale=4, pixel_nm=100.0)
    maps = torch.zeros(2, *grid.cells)
    maps[1, 20, 21], maps[1, 20, 22] = 60.0, 20.0
    maps[0, 3, 3] = 10.0
    found = candidates(maps, grid)
    assert found.frame.tolist() == [1]
    assert found.y_px.item() == pytest.approx(20.5 / 4 - 3)
    assert found.x_px.item() == pytest.approx(21.75 / 4 - 3)
    assert found.photons.item() == 80.0


@pytest.mark.parametrize("wrong", ["y", "maps", "density", "background"])
def test_what_does_not_fit_is_refused(wrong):
    grid = Grid(12, 14, scale=4, pixel_nm=100.0)
    shapes = {"y": (3, 12, 14), "maps": (3, *grid.cells), "background": (12, 14), "density": grid.cells}
    given = {name: torch.ones((*shape[:-1], shape[-1] - (name == wrong))) for name, shape in shapes.items()}
    maps = given.pop("maps")
    with pytest.raises(InputError):
        localize(**given, start=candidates(maps, grid), psf=GAUSSIAN, grid=grid)


def stages(raw, psf, offset_adu=100.0, gain=4.0):
    """Frames, maps, background, density: what localize is given by a reconstruction."""
    grid = Grid(*raw.shape[1:], scale=4, pixel_nm=100.0)
    imaging = Imaging(psf, grid, LIKE)
    y = (torch.as_tensor(raw.astype(np.float32)) - offset_adu) / gain
    statistics = window_statistics(y)
    m = density(LaggedCovariance(psf, grid, LIKE), statistics, cold_iterations(len(y)))
    brightness, background = fit_background(statistics.mean, imaging.forward(m), len(y))
    prior, start = m / grid.crop(m).mean(), (brightness * m).mean().expand(len(y), 1, 1)
    y = y.clamp(min=0) + 1e-3
    maps = [
        emitter_maps(imaging, y[b], prior, start[b], background.expand(y[b].shape), EMITTER_SETTINGS["best"])
        for b in batches(len(y), m)
    ]
    return y, torch.cat(maps), background, m, grid


@needs_data
def test_public_benchmark():
    raw = tifffile.imread(DATA / "bundled_tubulins_hd.tif")[:100]
    truth = read_truth(DATA / "bundled_tubulins_hd_emitters.csv.gz")
    with torch.inference_mode():
        y, maps, background, m, grid = stages(raw, GAUSSIAN)
        found = localize(y[:30], candidates(maps[:30], grid), background, m, GAUSSIAN, grid)
        picture = render(found, m, grid, 30)
    score = score_localizations(table(found), truth[truth[:, 0] < 30])
    assert score.jaccard >= 0.635
    assert score.rmse_nm <= 33
    assert picture.shape == (256, 256)
    emitters = truth[truth[:, 0] < 30, 1:3]
    fused = fuse(picture, grid.crop(maps[:30].sum(0)), found.crowding, 25.0, 30)
    for image in (picture, fused):
        assert score_picture(image.numpy(), emitters, 25.0).pearson > 0.93


@pytest.mark.parametrize("scale", [1, 2, 4, 5, 8, None])
def test_a_rendered_emitter_is_where_it_is(scale):
    shape, y_nm, x_nm = (13, 18), 642.0, 1177.0
    y = noisy(np.broadcast_to(expected([(y_nm, x_nm, 4000.0)], shape), (3, *shape)))
    found = localized(y)
    grid = Grid(*shape, scale=4, pixel_nm=100.0)
    picture = render(found, torch.ones(grid.cells), grid, 3, scale)
    cells = scale or 4
    assert picture.shape == (13 * cells, 18 * cells)
    assert 0.9 * len(found) < float(picture.sum()) < len(found)  # bright, so each counts nearly once
    rows, columns = ((torch.arange(n) + 0.5) * 100 / cells for n in picture.shape)
    middle = [float((picture.sum(1) @ rows) / picture.sum()), float((picture.sum(0) @ columns) / picture.sum())]
    within = max(1.0, 3.0 / cells)
    assert middle == pytest.approx([float(found.y_nm.mean()), float(found.x_nm.mean())], abs=within)


def test_fusion_follows_the_crowding():
    """Where emitters were missed, light of the maps brightens those that were found, if emitters crowd at all."""
    picture, maps = torch.zeros(64, 64), torch.zeros(32, 32)
    picture[10, 10] = picture[50, 50] = 1.0  # one found in either corner
    maps[5, 5], maps[25, 25] = 400.0, 100.0  # four times the light in the first
    shares = []
    for crowding in (1.0, 2.0, 100.0):
        fused = fuse(picture, maps, torch.full((5,), crowding), 25.0, 10**9)
        assert float(fused.sum()) == pytest.approx(500.0)
        assert int((fused > 1e-3).sum()) == 2  # of so many frames, the maps themselves add nothing
        shares.append(float(fused[10, 10] / fused[50, 50]))
    assert shares[0] == pytest.approx(1.0)
    assert 1.0 < shares[1] < shares[2] < 4.01
    assert shares[2] > 3.0
    few = [fuse(picture, maps, torch.full((5,), crowding), 25.0, 20) for crowding in (1.0, 2.0)]
    assert int((few[0] > 1e-3).sum()) == 2
    assert float(few[1][50, 51]) > 0  # where only the maps have light


def test_without_emitters_the_picture_is_empty():
    fused = fuse(torch.zeros(32, 32), torch.rand((32, 32)), torch.ones(0), 100.0, 30)
    assert not fused.any()


def test_thunderstorm_round_trip(tmp_path):
    y = noisy(np.broadcast_to(expected([(642.0, 1177.0, 4000.0)], (13, 18)), (4, 13, 18)))
    found = localized(y)
    path = tmp_path / "found.csv"
    with ThunderstormWriter(path, TableInfo(13, 18, 100.0, 8)) as writer:
        writer.append(LocalizationTable.of(found, GAUSSIAN))
        writer.append(LocalizationTable.of(replace(found, frame=found.frame + 4), GAUSSIAN))
        assert not path.exists()
        assert len((tmp_path / "found.csv.part").read_text().splitlines()) == 1 + 2 * len(found)
    assert path.read_text().splitlines()[0] == (
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]","bkgstd [photon]",'
        '"uncertainty [nm]"'
    )
    assert not (tmp_path / "found.csv.part").exists()
    rows = dict(zip(COLUMNS, read_thunderstorm(path).T, strict=True))
    assert rows["id"].tolist() == list(range(1, 9))
    assert rows["frame"].tolist() == list(range(1, 9))
    both = joined([found, found])
    assert rows["x [nm]"] == pytest.approx(both.x_nm.numpy(), abs=0.01)
    assert rows["y [nm]"] == pytest.approx(both.y_nm.numpy(), abs=0.01)
    assert rows["intensity [photon]"] == pytest.approx(both.photons.numpy(), abs=0.1)
    assert (rows["sigma [nm]"] == 110.0).all()
    assert rows["uncertainty [nm]"] == pytest.approx(np.sqrt((both.sd_nm.numpy() ** 2).mean(1)), abs=0.01)


def test_a_table_that_broke_off_has_no_finished_name(tmp_path):
    path = tmp_path / "found.csv"
    with pytest.raises(RuntimeError, match="camera"), ThunderstormWriter(path, TableInfo(13, 18, 100.0, 8)):
        raise RuntimeError("camera gone")
    assert not path.exists()
    assert len(read_thunderstorm(tmp_path / "found.csv.part")) == 0


@pytest.mark.parametrize("text", ["", "id,frame\n1,2\n", "HEADER1,1,a,2,3,4,5,6,7\n", "HEADER1,1,2\n"])
def test_a_table_that_is_none_is_told_as_such(tmp_path, text):
    path = tmp_path / "bad.csv"
    path.write_text(text.replace("HEADER", ",".join(COLUMNS) + "\n"))
    with pytest.raises(InputError, match=r"bad\.csv, line"):
        read_thunderstorm(path)
