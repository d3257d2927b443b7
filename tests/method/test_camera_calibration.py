"""A camera is calibrated from stacks, found again by its name, and its maps are used for its pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from selfstorm.api import reconstruct
from selfstorm.calibration.photon_transfer import EmRegister, photon_transfer
from selfstorm.calibration.pixel_moments import PixelMoments
from selfstorm.calibration.sequence_camera import camera_of_sequence
from selfstorm.cli import cli
from selfstorm.errors import InputError
from selfstorm.io import camera_file
from selfstorm.io.camera_file import calibration_of, read_calibration, save_calibration
from selfstorm.io.camera_names import SensorField
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.physics.bad_pixels import BadPixels
from selfstorm.physics.camera_maps import BAD_PIXEL_VARIANCE, CameraCalibration, uniform_calibration
from selfstorm.physics.em_gain import excess_noise_of
from selfstorm.physics.fixed_pattern import check_fixed_pattern
from selfstorm.physics.operators import LAGS, Grid
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.camera import ReadOut
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.simulation.spots import GaussianPsf, place
from selfstorm.stages.localization import localize
from selfstorm.stream.checkpoint import load_checkpoint, save_checkpoint
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.model import learn_model
from selfstorm.stream.settings import Settings

FIELD = {"height": 40, "width": 48}
SCMOS = Scene(**FIELD, bad_pixel_share=0.05, read_noise_variation=0.4, gain_variation=0.03, seed=71)
EMCCD = Scene(**FIELD, em_gain=150.0, gain_adu_per_electron=0.08, read_noise_electrons=40.0, seed=72)


def moments(camera, photons, frames=400):
    return PixelMoments.of(camera.even_frames(frames, photons))


@pytest.fixture(scope="module")
def scmos():
    camera = ReadOut(SCMOS)
    levels = [moments(camera, photons) for photons in (600.0, 60.0, 200.0)]
    return camera.maps, photon_transfer(moments(camera, 0.0), levels, "SN 1", roi_yx=(4, 8))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(camera_file, "calibrations_folder", lambda: tmp_path / "cameras")
    return tmp_path


def test_the_maps_of_an_scmos_camera_are_right_within_two_percent(scmos):
    true, result = scmos
    found = result.calibration
    good = ~found.bad
    assert np.median(found.offset_adu[good]) == pytest.approx(np.median(true.offset_adu), rel=2e-3)
    assert np.median(found.gain_adu_per_electron[good]) == pytest.approx(
        np.median(true.gain_adu_per_electron), rel=0.01
    )
    ratio = found.read_noise_electrons[good] / true.read_noise_electrons[good]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    error = found.gain_adu_per_electron[good] / true.gain_adu_per_electron[good] - 1
    assert error.std() < true.gain_adu_per_electron.std() / 4.0  # better than one gain for all pixels
    assert result.nonlinearity < 0.02
    noisy = true.read_noise_electrons > 15
    assert found.bad[true.bad | noisy].mean() > 0.99
    assert found.bad[~(true.bad | noisy)].mean() < 0.01


def test_the_gain_of_an_em_register_is_measured_with_its_excess_noise():
    with_em, without = ReadOut(EMCCD), ReadOut(replace(EMCCD, em_gain=1.0, read_noise_electrons=8.0))
    off = photon_transfer(moments(without, 0.0), [moments(without, 9000.0)], "off")
    dark, lights = moments(with_em, 0.0), [moments(with_em, 30.0), moments(with_em, 100.0)]
    on = photon_transfer(dark, lights, "on")
    em = EmRegister.of_slopes(on.median_gain, off.median_gain)
    assert em.em_gain == pytest.approx(150, rel=0.02)
    assert em.excess_noise == pytest.approx(excess_noise_of(150), rel=1e-3)
    found = photon_transfer(dark, lights, "on", em).calibration
    assert np.median(found.gain_adu_per_electron) == pytest.approx(0.08 * 150, rel=0.02)
    assert np.median(found.read_noise_electrons) == pytest.approx(40 / 150, rel=0.05)
    with pytest.raises(InputError, match="--em-off"):
        EmRegister.of_slopes(off.median_gain, on.median_gain)


def test_a_flickering_and_fading_lamp_changes_no_gain():
    camera, rng = ReadOut(Scene(**FIELD, seed=73)), np.random.default_rng(0)
    lamp = 500 * (1 + 0.05 * rng.standard_normal(300)) * np.linspace(1.1, 0.9, 300)
    steady = np.ones((40, 48))
    frames = PixelMoments.of(camera.read_out(light * steady, rng) for light in lamp)
    result = photon_transfer(moments(camera, 0.0), [frames], "lamp")
    assert result.median_gain == pytest.approx(4, rel=0.02)


def test_moments_need_no_more_memory_for_more_frames_and_lose_no_digits():
    rng = np.random.default_rng(1)
    stack = (60_000 + rng.integers(0, 5, (300, 6, 7))).astype(np.uint16)
    found = PixelMoments.of(iter(stack))
    np.testing.assert_allclose(found.mean, stack.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, stack.var(0, ddof=1), rtol=1e-9)


def test_a_saturated_level_is_on_no_line():
    camera = ReadOut(Scene(**FIELD, saturation_adu=3000, seed=74))
    levels = [moments(camera, photons) for photons in (100.0, 400.0, 720.0)]
    result = photon_transfer(moments(camera, 0.0), levels, "low")
    assert [level.clipped for level in result.levels] == [False, False, True]
    assert result.median_gain == pytest.approx(4, rel=0.03)


def test_a_calibration_is_found_by_name_and_cut_to_the_field(scmos, folder):
    _, result = scmos
    path = save_calibration(result.calibration, ("dark.tif",))
    again = read_calibration(path)
    assert again == result.calibration
    part = calibration_of("sn 1", SensorField("", (6, 9), (20, 30)))
    np.testing.assert_array_equal(part.offset_adu, result.calibration.offset_adu[2:22, 1:31])
    assert calibration_of(None, SensorField("replay of x.tif, SN 1 (DCam)", (4, 8), (40, 48))) == again
    assert calibration_of(None, SensorField("another", (4, 8), (40, 48))) is None
    with pytest.raises(InputError, match="exists already"):
        save_calibration(result.calibration, ())
    with pytest.raises(InputError, match="covers 40 x 48"):
        calibration_of("SN 1", SensorField("", (0, 8), (40, 48)))
    with pytest.raises(InputError, match="binning of 1"):
        calibration_of("SN 1", SensorField("", (4, 8), (20, 24), 2))
    with pytest.raises(InputError, match="known: SN 1"):
        calibration_of("SN 2", SensorField("", (4, 8), (40, 48)))
    with pytest.raises(InputError, match="cannot name"):
        save_calibration(replace(result.calibration, name="../x"), ())
    for damage in (path.read_bytes()[:300], b"", b"II*\0" + bytes(40)):
        path.write_bytes(damage)
        with pytest.raises(InputError, match="camera"):
            read_calibration(path)


def test_frames_of_another_region_are_refused(scmos):
    _, result = scmos
    raw = np.stack([pixels for pixels, _ in simulate(SCMOS, frames=60)])
    check_fixed_pattern(raw, result.calibration)
    moved = replace(result.calibration, offset_adu=np.roll(result.calibration.offset_adu, 3, 1))
    with pytest.raises(InputError, match="fixed pattern"):
        check_fixed_pattern(raw, moved)
    check_fixed_pattern(raw, uniform_calibration("x", 100, 4, 1.5).of_field((0, 0), raw.shape[1:], 1))  # none to see


def test_interpolated_pixels_repeat_as_much_noise_as_is_subtracted():
    rng = np.random.default_rng(2)
    bad = rng.random((14, 15)) < 0.1
    pixels, spread = BadPixels.of(bad), rng.random((14, 15)) + 0.5
    frames = (rng.standard_normal((20_000, 14, 15)) * np.sqrt(spread)).astype(np.float32)
    pixels.interpolate(frames)
    predicted = pixels.repeated_noise(torch.as_tensor(spread)).numpy()
    for number, (dy, dx) in enumerate(LAGS):
        left, right = max(0, -dx), 15 - max(0, dx)
        near = frames[:, dy:, left + dx : right + dx]
        found = (frames[:, : 14 - dy, left:right] * near).mean(0)
        assert np.abs(found - predicted[number, : 14 - dy, left:right]).max() < 0.05


def test_interpolation_follows_light_and_keeps_its_level():
    y, x = np.mgrid[:16, :16]
    spot = (50 + 100 * np.exp(-((y - 8.3) ** 2 + (x - 7.6) ** 2) / 2.4)).astype(np.float32)
    bad = np.zeros((16, 16), bool)
    bad[8, 8] = bad[0, 0] = bad[15, 4] = True
    frames = spot[None].copy()
    frames[:, bad] = 9e4
    BadPixels.of(bad).interpolate(frames)
    assert np.abs(frames[0] - spot).max() < 12


def test_effective_photons_of_an_em_camera_have_poisson_noise():
    maps = uniform_calibration("em", 100, 0.08 * 150, 40 / 150, 150).of_field((0, 0), (40, 48), 1)
    frames = np.stack(list(ReadOut(replace(EMCCD, gain_variation=0.0)).even_frames(100, 50.0)))
    photons = maps.photons(frames)
    assert photons.var(0).mean() - maps.read_variance.mean() == pytest.approx(photons.mean(), rel=0.03)
    assert photons.mean() * maps.excess_noise == pytest.approx(50, rel=0.02)


def run(*arguments):
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(path, frames):
    with OmeTiffWriter(path, 100.0) as writer:
        for frame in frames:
            writer.add(frame)
    return path


def test_the_command_calibrates_and_a_reconstruction_uses_it(folder):
    scene = Scene(height=24, width=24, bad_pixel_share=0.05, seed=75)
    camera = ReadOut(scene)
    dark = written(folder / "dark.tif", camera.even_frames(100))
    lights = [written(folder / f"light{n}.tif", camera.even_frames(100, n)) for n in (100.0, 500.0)]
    plot, table = folder / "transfer.png", folder / "levels.csv"
    said = run("calibrate", "camera", dark, *lights, "--serial", "cam", "--plot", plot, "--table", table)
    assert "bad pixels: " in said.output
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert len(table.read_text(encoding="utf-8").splitlines()) == 3
    with pytest.raises(InputError, match="exists already"):
        run("calibrate", "camera", dark, *lights, "--serial", "cam")
    with pytest.raises(InputError, match="would replace the input"):
        run("calibrate", "camera", dark, *lights, "--serial", "cam2", "--table", dark, "--overwrite")
    movie = written(folder / "movie.tif", (pixels for pixels, _ in simulate(scene, frames=30)))
    options = ("--scale", 2, "--quality", "fast", "--tuning-steps", 0, "--psf-sigma-nm", 110)
    said = run("reconstruct", movie, "--camera", "cam", *options)
    assert "each pixel calibrated: cam" in said.output
    said = run("reconstruct", movie, "--camera", "cam", "--gain", 4, *options, "-o", folder / "two.tif")
    assert "given twice" in said.output


def test_the_sequence_alone_gives_scalars_with_error_bars(folder):
    scene = Scene(density=4, background_photons=40, seed=76)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=100)])
    found = camera_of_sequence(raw)
    assert found.measured
    assert abs(found.camera.gain_adu_per_electron - 4) < 4 * found.gain_error_adu + 0.3
    assert 0 < found.gain_error_adu < 0.5
    assert 0 < found.offset_error_adu < 30
    said = run("calibrate", "sequence", written(folder / "m.tif", raw), "--plot", folder / "cloud.png")
    assert "ADU per photon" in said.output
    assert (folder / "cloud.png").stat().st_size > 1000


def test_stored_settings_stand_for_all_pixels(folder):
    (folder / "protocol.txt").write_text(
        '{"cameraSettings": {"offset": 414.0, "isEmGain": true, "photons2ADU": 3.6, "gain": 100.0, "pixelSize": 80.0}}'
    )
    assert "ThunderSTORM" in run("calibrate", "settings", folder / "protocol.txt", "--serial", "ixon").output
    maps = calibration_of("ixon", SensorField("", (3, 4), (5, 6), 2))
    assert isinstance(maps, CameraCalibration)
    assert maps.shape == (5, 6)
    assert maps.excess_noise == pytest.approx(excess_noise_of(100))


def test_a_model_goes_on_only_with_the_calibration_it_was_learned_with(folder, scmos):
    scene = Scene(height=20, width=20, seed=77)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=12)])
    one = uniform_calibration("one", 100, 4, 1.5).of_field((0, 0), (20, 20), 1)
    settings = Settings(100.0, Gaussian(110.0), pixels=one)
    compute = Compute(torch.device("cpu"))
    model = learn_model(settings, raw, compute)
    save_checkpoint(model, folder / "m.safetensors", "test")
    again = load_checkpoint(folder / "m.safetensors", settings, (20, 20), compute)
    assert again.calibration.pixels == one
    another = replace(settings, pixels=uniform_calibration("one", 101, 4, 1.5).of_field((0, 0), (20, 20), 1))
    for changed in (replace(settings, pixels=None), another):
        assert not settings.learns_like(changed)
        with pytest.raises(InputError, match="was learned with"):
            load_checkpoint(folder / "m.safetensors", changed, (20, 20), compute)
    with pytest.raises(InputError, match="a calibration of"):
        learn_model(settings, raw[:, 1:], compute)


def test_read_noise_widens_precision_and_bad_pixels_weigh_nothing():
    grid, psf = Grid(15, 15, 4, 100.0), Gaussian(110.0)
    start = Emitters(torch.zeros(1, dtype=torch.long), *(torch.tensor([value]) for value in (7.5, 7.4, 500.0)))
    light = torch.as_tensor(place(740.0, 760.0, 800.0, (15, 15), psf=GaussianPsf(110), pixel_nm=100)).float()
    y, background = light[None] + 20, torch.full((15, 15), 20.0)
    variance = torch.full((15, 15), 100.0)

    def fitted(y, variance):
        return localize(y, start, background, torch.ones(grid.cells), psf, grid, read_variance=variance)

    plain, noisy = fitted(y, None), fitted(y, variance)
    assert noisy.photons.item() == pytest.approx(plain.photons.item(), rel=0.03)
    assert noisy.background_photons.item() == pytest.approx(20, rel=0.01)
    assert noisy.sd_nm.mean() > 1.5 * plain.sd_nm.mean()
    y[0, 7, 7], variance[7, 7] = 300.0, BAD_PIXEL_VARIANCE
    spoilt = fitted(y, variance)
    assert spoilt.y_nm.item() == pytest.approx(740, abs=5)
    assert spoilt.x_nm.item() == pytest.approx(760, abs=5)
    assert spoilt.sd_nm.mean() > noisy.sd_nm.mean()


def test_results_of_an_em_camera_are_in_photons():
    scene = replace(EMCCD, height=24, width=24, density=1.0)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=16)])
    maps = uniform_calibration("em", 100, 0.08 * 150, 40 / 150, 150).of_field((0, 0), (24, 24), 1)
    given = {"psf": Gaussian(110.0), "scale": 2, "quality": "fast", "tuning_steps": 0}
    found = reconstruct(raw, 100.0, pixels=maps, **given)
    plain = reconstruct(raw, 100.0, offset_adu=100.0, gain_adu_per_electron=0.08 * 150, **given)
    assert found.metrics["background"] == pytest.approx(plain.metrics["background"], rel=0.05)
    assert found.picture.sum() == pytest.approx(plain.picture.sum(), rel=0.15)
    assert np.median(found.localizations["photons"]) > 0.8 * np.median(plain.localizations["photons"])
