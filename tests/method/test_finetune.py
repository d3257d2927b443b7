"""Fine-tuning moves the optics to where they are, leaves right ones alone, and undoes what does not help."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from selfstorm.calibration import psf_finetuning as tuning
from selfstorm.calibration.differentiable_psf import (
    SCALE,
    Covariance,
    Optics,
    parameters,
)
from selfstorm.calibration.finetuning_loss import Half, Loss
from selfstorm.calibration.psf_autocorrelation import autocorrelation
from selfstorm.calibration.psf_finetuning import Budget, finetune
from selfstorm.physics.operators import LAGS, Grid, LaggedCovariance
from selfstorm.psf.models import Airy, Ellipse, Gaussian, tunable, tuning_starts
from selfstorm.psf.pupil import Pupil
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene
from selfstorm.stages.covariances import shifted

KINDS = {
    "gaussian": Gaussian(110.0),
    "ellipse": Ellipse(133.0, 95.0, 30.0),
    "pupil": Pupil(1.4, 660.0, (0.4, 0.3, 0.2, 0.1, 0.4, 0.05)),
}
SCENE = Scene(height=40, width=40, density=5, on_frames=0.6, filaments=8, photons=1000, background_photons=20, seed=3)


def movie(frames=80, **optics):
    """(T, H, W) photons."""
    scene = replace(SCENE, **optics)
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=frames)])
    return torch.as_tensor((raw - scene.offset_adu) / scene.gain_adu_per_electron, dtype=torch.float32)


@pytest.fixture(scope="module")
def sharp():
    return movie(psf_sigma_nm=110.0)


@pytest.mark.parametrize("psf", KINDS.values(), ids=KINDS.keys())
def test_its_operator_is_that_of_the_engine(psf):
    grid = Grid(20, 27, SCALE, 100.0)
    optics = Optics(psf, 100.0)
    ours = Covariance(optics.kernels(optics.spectrum(parameters(psf)), LAGS), LAGS, grid.height, grid.width)
    theirs = LaggedCovariance(psf, grid, torch.zeros(()))
    x = torch.rand(grid.cells, generator=torch.Generator().manual_seed(1))
    phases = x.reshape(ours.padded[0], SCALE, ours.padded[1], SCALE).permute(1, 3, 0, 2)
    inside = torch.stack([shifted(torch.ones(20, 27), *lag) for lag in LAGS])
    expected = theirs.forward(x) * inside
    accuracy = 3e-2 if isinstance(psf, Pupil) else 2e-3  # theirs is cut to a few modes
    torch.testing.assert_close(ours.forward(phases) * inside, expected, rtol=0, atol=accuracy * float(expected.max()))
    z = torch.rand(expected.shape, generator=torch.Generator().manual_seed(2))
    left, right = (ours.forward(phases) * z).sum(), (phases * ours.adjoint(z)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-5)


@pytest.mark.parametrize("psf", KINDS.values(), ids=KINDS.keys())
def test_its_moments_are_those_of_the_engine(psf):
    optics = Optics(psf, 100.0)
    ours = optics.autocorrelation(optics.spectrum(parameters(psf)))
    np.testing.assert_allclose(ours, autocorrelation(psf, 100.0), atol=1e-4)


@pytest.mark.parametrize("psf", KINDS.values(), ids=KINDS.keys())
def test_gradient_is_that_of_finite_differences(psf):
    optics = Optics(psf, 100.0)
    weights = torch.rand((len(LAGS), 1, 1), dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def value(theta):
        spectrum = optics.spectrum(theta)
        kernels = optics.kernels(spectrum, LAGS)
        return (weights * kernels**2).sum() + optics.autocorrelation(spectrum)[:9].sum()

    assert torch.autograd.gradcheck(value, parameters(psf).requires_grad_(), eps=1e-5, atol=1e-6, rtol=1e-4)


def test_gradient_through_the_network_is_that_of_finite_differences(sharp, monkeypatch):
    monkeypatch.setattr("selfstorm.calibration.differentiable_psf.FREE_ITERATIONS", 0)  # these have no slope by design
    half = Half(sharp[:, :32, :32], sharp, 100.0)
    loss = Loss(half, Gaussian(120.0), 100.0)
    theta = parameters(Gaussian(120.0))
    _, slope = loss(theta)
    step = 2e-3
    by_difference = (loss(theta + step)[0] - loss(theta - step)[0]) / (2 * step)
    assert float(slope[0]) == pytest.approx(by_difference, rel=2e-2)


@pytest.mark.parametrize("psf", KINDS.values(), ids=KINDS.keys())
def test_parameters_make_the_same_psf(psf):
    again = psf.with_parameters(psf.parameters(), "given")
    np.testing.assert_allclose(parameters(again), parameters(psf), atol=1e-12)
    assert type(again) is type(psf)


def test_a_wrong_width_is_mended_and_kept(sharp):
    report = finetune(Gaussian(123.0), sharp, 100.0, Budget())
    assert report.outcome == "kept"
    assert report.psf.sigma_nm == pytest.approx(110, rel=0.03)
    assert report.held_out_after < report.held_out_before
    assert report.anchor_after < 2 < report.anchor_before
    assert report.losses[-1] < report.losses[0]


def test_a_focus_that_drifted_is_followed():
    report = finetune(Airy(1.4, 660.0), movie(na=1.4, wavelength_nm=660.0, psf_defocus_rad=0.6), 100.0, Budget())
    assert report.outcome == "kept"
    assert abs(report.psf.aberrations[0]) == pytest.approx(0.6, abs=0.1)
    assert max(map(abs, report.psf.aberrations[1:])) < 0.12


def test_coma_the_wrong_way_round_is_turned():
    seen = movie(na=1.4, wavelength_nm=660.0, psf_coma_rad=0.5)
    wrong = Pupil(1.4, 660.0, (0.0, 0.0, 0.0, 0.0, -0.5, 0.0))
    report = finetune(wrong, seen, 100.0, Budget())
    assert report.outcome == "kept"
    assert report.psf.aberrations[4] == pytest.approx(0.5, abs=0.1)


def test_coma_that_chance_put_into_the_moments_is_taken_out():
    seen = movie(200, na=1.4, wavelength_nm=670.0, psf_defocus_rad=0.7, height=32, width=32, filaments=5, seed=1)
    chance = Pupil(1.39, 670.0, (0.65, 0.0, -0.05, 0.31, 0.39, 0.0))  # what the moments of these frames fit best
    report = finetune(chance, seen, 100.0, Budget())
    assert report.outcome == "kept"
    assert max(map(abs, report.psf.aberrations[1:])) < 0.05


@pytest.mark.parametrize("psf", [Gaussian(110.0), Gaussian(112.0), Ellipse(111.0, 110.0, 0.0)], ids=str)
def test_right_optics_cost_no_step(sharp, psf):
    report = finetune(psf, sharp, 100.0, Budget())
    assert (report.outcome, report.psf, report.steps) == ("not needed", psf, 0)


@pytest.mark.parametrize("harm", [0.2, -0.2, math.nan], ids=["wider", "narrower", "not a number"])
def test_a_harmful_step_is_undone(sharp, monkeypatch, harm):
    old = Gaussian(116.0)

    def descend(loss, starts, budget, clock):
        return starts[0] + harm, (2.0, 1.0 + 0 * harm)

    monkeypatch.setattr(tuning, "descend", descend)
    monkeypatch.setattr("selfstorm.calibration.finetuning_loss.MIN_VISIBLE_MISFIT", 0.0)
    monkeypatch.setattr("selfstorm.calibration.finetuning_loss.MAX_AGREEING_CHI2", 0.0)
    report = finetune(old, sharp, 100.0, Budget())
    assert (report.outcome, report.psf) == ("rolled back", old)


@pytest.mark.parametrize(
    ("far_gain", "chi2_before", "chi2_after", "outcome"),
    [
        (0.1, 5.0, 1.0, "kept"),
        (0.1, 1.0, 1.5, "kept"),
        (0.0, 5.0, 1.0, "kept"),
        (0.1, 1.0, 2.5, "rolled back"),
        (-0.1, 5.0, 1.0, "rolled back"),
        (0.0, 5.0, 4.5, "rolled back"),
        (0.1, 5.0, 4.5, "rolled back"),
        (math.nan, math.nan, math.nan, "rolled back"),
    ],
)
def test_both_judges_must_agree(far_gain, chi2_before, chi2_after, outcome):
    """The far pixel pairs and the moments: one for it, none against it."""
    old, new = Gaussian(110.0), Gaussian(120.0)
    scatter = 0.1 * torch.randn(32, 32, generator=torch.Generator().manual_seed(4))
    scatter -= scatter.mean()
    misfits = iter([torch.ones(32, 32), torch.ones(32, 32) - far_gain - scatter])
    held = {old: SimpleNamespace(chi2=chi2_before), new: SimpleNamespace(chi2=chi2_after)}
    half = SimpleNamespace(
        misfit=lambda *_: next(misfits),
        target=SimpleNamespace(hold=held.get),
        agrees=lambda psf: held[psf].chi2 < 3,
    )
    report = tuning.judge(half, Optics(old, 100.0), old, new, ())
    assert (report.outcome, report.psf) == (outcome, new if outcome == "kept" else old)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (8, 96), (20, 130)])
def test_of_a_large_field_the_part_with_emitters_is_learned_from(sharp, row, column):
    field = 1000 + 30 * torch.randn((80, 60, 170), generator=torch.Generator().manual_seed(5))  # bright, but still
    field[:, row : row + 40, column : column + 40] = sharp
    part = tuning._most_fluctuating(field, 56)
    assert part.shape == (80, 56, 56)
    assert (part < 700).sum() > 0.7 * (sharp < 700).sum()


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_no_more_steps_than_the_budget_has(sharp, steps):
    report = finetune(Gaussian(125.0), sharp, 100.0, Budget(steps))
    assert report.steps == steps


def test_no_step_after_the_time_is_over(sharp):
    ticks = itertools.count()
    report = finetune(Gaussian(125.0), sharp, 100.0, Budget(8, seconds=2.5), clock=lambda: float(next(ticks)))
    assert report.steps == 2
    assert report.seconds > 2.5


def test_the_same_window_gives_the_same_report_also_in_inference_mode(sharp):
    clock = float  # always 0
    once = finetune(Gaussian(123.0), sharp, 100.0, Budget(2), clock)
    with torch.inference_mode():
        again = finetune(Gaussian(123.0), sharp * 1.0, 100.0, Budget(2), clock)
    assert once == again


@pytest.mark.parametrize(
    "frames",
    [torch.rand(20, 32, 32), torch.rand(80, 8, 8), torch.rand(80, 32, 32), torch.full((80, 32, 32), math.nan)],
    ids=["few", "small", "noise", "not numbers"],
)
def test_what_shows_nothing_changes_nothing(frames):
    report = finetune(Gaussian(123.0), frames, 100.0, Budget())
    assert (report.outcome, report.psf) == ("not possible", Gaussian(123.0))


def test_an_airy_psf_starts_where_defocus_has_a_slope():
    airy = Airy(1.4, 660.0)
    ((_, defocus, *_),) = tuning_starts(airy)
    assert defocus > 0 == tunable(airy).parameters()[1]
