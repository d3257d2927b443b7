"""How good a picture is, said without the truth: what is true agrees, what is left out shows, what blurs is coarse."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from streams import learned, reconstruct

from selfstorm.commands.reconstruct import reconstruct as command
from selfstorm.compute.device import prepare_device
from selfstorm.metrics.ground_truth import render
from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.self_consistency import assess
from selfstorm.physics.background import fit_background
from selfstorm.physics.operators import Grid, Imaging
from selfstorm.psf.models import Gaussian
from selfstorm.simulation.movie import Scene, simulate
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.processing_level import ProcessingLevel, degradation_ladder
from selfstorm.stream.settings import Settings

CPU = prepare_device("cpu")
SETTINGS = Settings(100.0, Gaussian(110.0), 100.0, 4.0, quality="fast", tuning_steps=0)
FRAMES = 120
GRID = Grid(48, 56, 4, 100.0)
IMAGING = Imaging(Gaussian(110.0), GRID, torch.zeros(()))
BACKGROUND = 20.0


@pytest.fixture(scope="module")
def movie():
    shots = list(simulate(Scene(height=48, width=56, density=2, offset_variation_adu=0.0, seed=3), frames=FRAMES))
    return np.stack([pixels for pixels, _ in shots]), np.concatenate([emitters for _, emitters in shots])


def emitters_of(movie):
    """The true picture, (4H, 4W) photons, with what surrounds the field dark."""
    _, table = movie
    return torch.tensor(render(table[:, 1:3], (192, 224), 25.0, table[:, 3]), dtype=torch.float32)


def padded(picture):
    around = torch.zeros(GRID.cells)
    GRID.crop(around).copy_(picture)
    return around


def seen_of(picture, seed=0):
    """Mean of the frames as a camera sees it, with a slanted background."""
    around = padded(picture)
    slant = BACKGROUND * (1 + torch.linspace(-0.4, 0.4, 56))
    expected = IMAGING.forward(around).clamp(min=0) + FRAMES * slant
    photons = np.random.default_rng(seed).poisson(expected.numpy()) / FRAMES
    return torch.tensor(photons, dtype=torch.float32), (expected / FRAMES**2).sqrt()


def judgement_of(picture, seen):
    return assess(picture, torch.zeros(GRID.cells), IMAGING, GRID, seen)


def cautions(result, key):
    """The picture's notes on that metric."""
    finding = METRICS[key].finding(result.metrics[key])
    return [note for note in result.notes if note == finding.explanation]


def test_true_emitters_agree_and_leave_noise_alone(movie):
    seen, noise = seen_of(emitters_of(movie))
    judgement = judgement_of(emitters_of(movie), seen)
    assert judgement.agreement > 0.99
    assert judgement.error_map.shape == (48, 56)
    assert judgement.error_map.dtype == np.float32
    assert np.std(judgement.error_map / noise.numpy()) < 1.3


def test_an_edge_of_the_background_is_no_error_of_the_picture(movie):
    seen, _ = seen_of(emitters_of(movie))
    seen = seen + 130 / (1 + torch.exp(-(torch.arange(56) - 24.5)))
    true = IMAGING.forward(padded(emitters_of(movie)))
    _, background = fit_background(seen, true, FRAMES)
    known = assess(emitters_of(movie), torch.zeros(GRID.cells), IMAGING, GRID, seen, background)
    assert judgement_of(emitters_of(movie), seen).agreement < 0.9
    assert known.agreement > 0.95


@pytest.mark.parametrize(("offset_adu", "named"), [(100.0, False), (130.0, False), (220.0, True)])
def test_an_offset_above_the_darkest_light_is_named(movie, offset_adu, named):
    raw, _ = movie
    settings = replace(SETTINGS, offset_adu=offset_adu, estimate="density", scale=1)
    result = reconstruct(learned(settings, raw[:30], CPU), raw[:30])
    assert any("below the camera's offset" in note for note in result.notes) == named


@pytest.mark.parametrize(("scale", "unit"), [(2, 1.0), (4, 1e-6), (8, 3000.0)])
def test_neither_scale_nor_unit_of_a_picture_matters(movie, scale, unit):
    seen, _ = seen_of(emitters_of(movie))
    _, table = movie
    shape = (48 * scale, 56 * scale)
    picture = torch.tensor(unit * render(table[:, 1:3], shape, 100.0 / scale, table[:, 3]), dtype=torch.float32)
    at_four = judgement_of(emitters_of(movie), seen)
    judgement = judgement_of(picture, seen)
    assert judgement.agreement == pytest.approx(at_four.agreement, abs=0.005)
    assert np.abs(judgement.error_map - at_four.error_map).max() < 0.1 * seen.max()


def test_the_map_shows_where_emitters_are_left_out_and_where_there_are_none(movie):
    true = emitters_of(movie)
    true[:, :112] = 0
    true[80:84, 40:44] = 0.02 * true.sum() / 16
    shown = true.clone()
    shown[80:84, 40:44] = 0  # left out, at camera pixel (20, 10)
    shown[120:124, 60:64] = 0.02 * true.sum() / 16  # made up, at camera pixel (30, 15)
    error = judgement_of(shown, seen_of(true)[0]).error_map
    assert np.unravel_index(error.argmax(), error.shape) in [(y, x) for y in (20, 21) for x in (10, 11)]
    assert np.unravel_index(error.argmin(), error.shape) in [(y, x) for y in (30, 31) for x in (15, 16)]


def test_agreement_is_corrected_for_the_noise_of_the_mean(movie):
    """Uncorrected, the true picture of the dim scene correlates by 0.81 with its noisy mean frame."""
    true = emitters_of(movie)
    bright, dim = (judgement_of(true, seen_of(true * light)[0]).agreement for light in (1.0, 0.05))
    assert bright > 0.99
    assert dim > 0.99


def test_another_scene_does_not_explain_the_mean(movie):
    seen, _ = seen_of(emitters_of(movie))
    judgement = judgement_of(emitters_of(movie).flip(0), seen)
    assert judgement.agreement < 0.5


def test_a_mean_that_shows_nothing_says_nothing():
    seen, _ = seen_of(torch.zeros(192, 224))
    for picture in (torch.zeros(192, 224), torch.rand(192, 224, generator=torch.Generator().manual_seed(1))):
        judgement = judgement_of(picture, seen)
        assert judgement.agreement is None
        assert np.isfinite(judgement.error_map).all()


def test_an_empty_picture_of_something_is_not_to_be_trusted(movie):
    judgement = judgement_of(torch.zeros(192, 224), seen_of(emitters_of(movie))[0])
    assert judgement.agreement == 0.0


@pytest.mark.parametrize("estimate", ["density", "emitters", "fused"])
def test_every_estimate_is_judged_and_a_good_one_is_trusted(movie, estimate):
    raw, _ = movie
    model = learned(replace(SETTINGS, estimate=estimate), raw, CPU)
    result = reconstruct(model, raw)
    assert result.metrics["agreement"] > (0.75 if estimate == "density" else 0.9)
    assert result.error_map.shape == raw.shape[1:]
    assert not cautions(result, "agreement")
    claims = {"fidelity", "false_share"}
    assert claims & set(result.metrics) == (claims if estimate == "fused" else set())
    assert (result.trust_map is not None) == (estimate == "fused")


def test_a_picture_of_another_scene_says_not_to_trust_it(movie):
    """Maps that were kept with other frames: as if a scene had changed unnoticed."""
    raw, _ = movie
    model = learned(replace(SETTINGS, estimate="emitters"), raw, CPU)
    assert not cautions(reconstruct(model, raw), "agreement")
    buffer = tuple(replace(block, total=block.total.flip(0)) for block in model.learned.state.buffer)
    model.learned = model.learned.with_state(buffer=buffer)
    again = model.picture(WindowSpan(np.arange(FRAMES), 0, FRAMES))
    assert again.metrics["agreement"] < METRICS["agreement"].bad
    assert cautions(again, "agreement")


def test_what_is_made_in_a_hurry_is_not_judged(movie):
    raw, _ = movie
    for effort in degradation_ladder(ProcessingLevel("full", "fused", "fast")):
        model = learned(SETTINGS, raw[:20], CPU)
        result = reconstruct(model, raw[:20], level=effort)
        assert (result.error_map is not None) == (effort.name in ("full", "emitters"))
        if not effort.measure_quality:
            assert not {"agreement", "fidelity", "false_share"} & set(result.metrics)


def test_the_papers_model_knows_no_optics_to_judge_by(movie):
    raw, _ = movie
    model = new_model(replace(SETTINGS, model="paper", scale=2), raw[:16], Compute(CPU))
    place = WindowSpan(np.arange(16), 0, 16)
    model.ingest(raw[:16], place)
    result = model.picture(place)
    assert (set(result.metrics), result.error_map) == ({"misfit"}, None)


def test_the_command_says_it_and_writes_the_map(movie, tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", movie[0][:40], photometric="minisblack")
    line = [tmp_path / "movie.tif", "--pixel-nm", 100, "--psf-sigma-nm", 110, "--device", "cpu", "--quality", "fast"]
    line += ["--scale", 4, "--tuning-steps", 0, "--window", 20, "--error-map", tmp_path / "error.tif"]
    line += ["--trust-map", tmp_path / "trust.tif"]
    said = CliRunner().invoke(command, [str(word) for word in line], catch_exceptions=False)
    assert "agreement 0.9" in said.output
    maps = tifffile.imread(tmp_path / "error.tif")
    assert (maps.shape, maps.dtype) == ((2, 48, 56), np.float32)
    assert "wrote the error map" in said.output
    trusted = tifffile.imread(tmp_path / "trust.tif")
    assert (trusted.shape, trusted.dtype) == (maps.shape, np.float32)
    assert 0 <= np.nanmin(trusted) < np.nanmax(trusted) <= 1
    refused = CliRunner().invoke(command, [str(word) for word in [*line, "--model", "paper"]])
    assert "knows no optics" in refused.output
