"""The operators are what they say: adjoint to the last digit, seamless, energy-true, right about covariances."""

import numpy as np
import pytest
import torch
from benchmarks.tally import Tally

from selfstorm.calibration.differentiable_psf import Covariance, Optics
from selfstorm.compute.acceleration import batched_on_cpu
from selfstorm.physics.background import SplineSurface, Surfaces, fit_background, fit_of_knots
from selfstorm.physics.multiplicative import multiplicative_step
from selfstorm.physics.operators import LAGS, Grid, Imaging, LaggedCovariance, inside_field
from selfstorm.psf.models import Airy, Ellipse, Gaussian
from selfstorm.psf.pupil import Pupil
from selfstorm.simulation.movie import GaussianPsf, place
from selfstorm.simulation.spots import AberratedPsf

LIKE = torch.zeros((), dtype=torch.float64)
SHAPES = [(64, 64), (17, 23), (101, 40), (7, 130)]
OPTICS = {
    "gaussian": Gaussian(110.0),
    "airy": Airy(1.4, 660.0),
    "upright": Ellipse(133.0, 90.0, 90.0),
    "tilted": Ellipse(133.0, 90.0, 30.0),
    "pupil": Pupil(1.4, 660.0, (0.4, 0.5, 0.2, 0.0, 0.5, 0.0)),
}


def fourier_covariance(psf, grid):
    """The calibration's, which has a slope in the PSF."""
    optics = Optics(psf, grid.pixel_nm)
    kernels = optics.kernels(optics.spectrum(optics.theta), LAGS)
    return Covariance(kernels, LAGS, grid.height, grid.width)


OPERATORS = {
    "imaging": (lambda psf, grid: Imaging(psf, grid, LIKE), 1e-12),
    "lagged covariance": (lambda psf, grid: LaggedCovariance(psf, grid, LIKE), 1e-12),
    "Fourier covariance": (fourier_covariance, 1e-5),  # float32
    "splines": (lambda psf, grid: SplineSurface(grid.height, grid.width, LIKE), 1e-12),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("psf", OPTICS.values(), ids=OPTICS.keys())
@pytest.mark.parametrize(("make", "accuracy"), OPERATORS.values(), ids=OPERATORS.keys())
def test_every_operator_has_its_exact_adjoint_and_norm(make, accuracy, psf, shape):
    operator = make(psf, Grid(*shape, scale=4, pixel_nm=100.0))
    norm = operator.norm
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(norm.shape, dtype=norm.dtype, generator=generator)
    forward = operator.forward(x)
    z = torch.rand(forward.shape, dtype=norm.dtype, generator=generator)
    left, right = (forward * z).sum(), (x * operator.adjoint(z)).sum()
    assert abs(left - right) / abs(left) < accuracy
    seen = norm.isfinite()
    inside = inside_field(LAGS, forward[0]) if len(forward) == len(LAGS) else torch.ones_like(forward)
    assert seen.any()
    assert (operator.adjoint(inside)[seen] - norm[seen]).abs().max() < accuracy * norm[seen].max()


@pytest.mark.parametrize("make", [make for make, _ in OPERATORS.values()], ids=OPERATORS.keys())
def test_a_multiplicative_step_keeps_what_fits_and_mends_what_does_not(make):
    operator = make(OPTICS["gaussian"], Grid(24, 30, scale=4, pixel_nm=100.0))
    x = torch.rand(operator.norm.shape, dtype=operator.norm.dtype, generator=torch.Generator().manual_seed(5)) + 0.1
    x = torch.where(operator.norm.isfinite(), x, 0.0)
    seen = operator.forward(x).detach()
    inside = inside_field(LAGS, seen[0]) if len(seen) == len(LAGS) else torch.ones_like(seen)
    data, offset = (seen + 1.0) * inside, torch.ones((), dtype=seen.dtype)
    same = multiplicative_step(operator, x, data, offset, floor=1e-12)
    assert (same - x).abs().max() < 1e-3  # of cells at the edge, of whose light little is seen

    def divergence(x):
        model = (operator.forward(x) + offset).clamp(min=1e-12)
        return float((inside * (model - data * model.log())).sum())

    tried = [x * 0 + x.mean()]
    for _ in range(5):
        tried.append(multiplicative_step(operator, tried[-1], data, offset, floor=1e-12).detach())
    falling = [divergence(x) for x in tried]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("kind", [Imaging, LaggedCovariance])
def test_blocks_leave_no_seam(kind, monkeypatch):
    grid = Grid(97, 130, scale=4, pixel_nm=100.0)
    x = torch.rand(grid.cells, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    in_blocks = kind(Gaussian(110.0), grid, LIKE).forward(x)
    monkeypatch.setattr("selfstorm.physics.band_matrices.DENSE_PX", 1000)
    whole = kind(Gaussian(110.0), grid, LIKE).forward(x)
    assert torch.allclose(in_blocks, whole, rtol=1e-12, atol=1e-14)


def test_a_batch_is_its_frames():
    grid = Grid(20, 33, scale=4, pixel_nm=100.0)
    imaging = Imaging(Airy(1.4, 660.0), grid, LIKE)
    x = torch.rand((3, *grid.cells), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(imaging.forward(x), torch.stack([imaging.forward(frame) for frame in x]))


@pytest.mark.parametrize("shape", [(24, 24), (21, 33)])
@pytest.mark.parametrize(
    ("ours", "theirs", "accuracy"),
    [
        (Gaussian(110.0), GaussianPsf(110.0), 2e-3),
        (Ellipse(150.0, 90.0, 90.0), GaussianPsf(150.0, 90.0), 2e-3),
        (Ellipse(150.0, 90.0, 0.0), GaussianPsf(90.0, 150.0), 2e-3),
        (
            OPTICS["pupil"],
            AberratedPsf(1.4, 660.0, defocus_rad=0.4, astigmatism_rad=0.5, oblique_rad=0.2, coma_x_rad=0.5),
            0.06,  # four modes
        ),
    ],
    ids=["gaussian", "upright", "lying", "pupil"],
)
def test_one_cell_looks_like_an_emitter_in_it(shape, ours, theirs, accuracy):
    """The forward model against the simulator's own rendering of emitters spread over the cell."""
    grid = Grid(*shape, scale=4, pixel_nm=100.0)
    row, column = 37, 52  # cells of the field
    x = torch.zeros(grid.cells, dtype=torch.float64)
    x[row + 12, column + 12] = 1000.0
    seen = Imaging(ours, grid, LIKE).forward(x).numpy()
    within = (np.arange(5) + 0.5) * 5.0
    y, x_nm = (v.ravel() for v in np.meshgrid(row * 25 + within, column * 25 + within, indexing="ij"))
    expected = place(y, x_nm, np.full(25, 40.0), shape, psf=theirs, pixel_nm=100.0)
    assert np.abs(seen - expected).max() < accuracy * expected.max()
    assert seen.sum() == pytest.approx(expected.sum(), rel=accuracy)


@pytest.mark.parametrize("psf", OPTICS.values(), ids=OPTICS.keys())
def test_covariance_of_blinking_emitters(psf):
    """F m is the covariance that emitters of variance m make, at every lag."""
    grid = Grid(16, 18, scale=2, pixel_nm=100.0)
    imaging, covariance = Imaging(psf, grid, LIKE), LaggedCovariance(psf, grid, LIKE)
    generator = torch.Generator().manual_seed(4)
    m = torch.rand(grid.cells, dtype=torch.float64, generator=generator)
    basis = torch.eye(m.numel(), dtype=torch.float64).reshape(-1, *grid.cells)
    seen = imaging.forward(basis)
    expected = covariance.forward(m)
    for lag, (dy, dx) in enumerate(LAGS):
        for p in ((4, 5), (8, 9), (10, 3)):
            pair = (m.flatten() * seen[:, p[0], p[1]] * seen[:, p[0] + dy, p[1] + dx]).sum()
            assert expected[lag][p].item() == pytest.approx(pair.item(), rel=1e-4 if len(psf.modes()) == 1 else 5e-3)


def test_a_background_is_fitted_in_fields_larger_than_torch_sorts(monkeypatch):
    monkeypatch.setattr("selfstorm.physics.background.ITERATIONS", 1)
    side = 4104
    mean = torch.full((side, side), 7.0)
    _, background = fit_background(mean, torch.ones_like(mean), 100)
    assert background.shape == (side, side)
    assert float(background.mean()) == pytest.approx(7.0, rel=0.2)


def test_a_background_with_an_edge_bends_and_structure_does_not():
    y, x = np.mgrid[:40, :40] - 19.5
    edge = torch.tensor(15 + 135 / (1 + np.exp(-(y + 0.5 * x) / 1.5)), dtype=LIKE.dtype)
    at = np.random.default_rng(1).uniform(-15, 15, (12, 2))
    spots = torch.tensor(sum(80 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 3) for a, b in at), dtype=LIKE.dtype)
    _, background = fit_background(edge + 0.7 * spots, spots, 100)
    assert float((background - edge).square().mean().sqrt()) < 3
    narrower = spots**1.2 / 3  # a density is never quite right
    _, background = fit_background(40 + 0.7 * spots, narrower, 100)
    _, wide = fit_of_knots(40 + 0.7 * spots, narrower, Surfaces.of(40, 40, LIKE).wide)
    assert torch.equal(background, wide)


def test_a_steady_tube_is_no_background():
    y, x = np.mgrid[:60, :60] - 29.5
    along, across = (y + 0.6 * x) / 1.17, (0.6 * y - x) / 1.17
    tube = torch.tensor(20 + 300 * np.exp(-((across - 4 * np.sin(along / 12)) ** 2) / 18), dtype=LIKE.dtype)
    blinks = torch.tensor(np.exp(-((y - 3) ** 2 + (x - 5) ** 2) / 20), dtype=LIKE.dtype)
    surfaces = Surfaces.of(60, 60, LIKE)
    _, background = fit_background(tube + 20 * blinks, blinks, 100, surfaces)
    _, wide = fit_of_knots(tube + 20 * blinks, blinks, surfaces.wide)
    assert torch.equal(background, wide)


@pytest.mark.parametrize("psf", [Gaussian(110.0), Airy(1.4, 680.0)], ids=lambda psf: type(psf).__name__)
def test_blocks_multiplied_at_once_are_those_multiplied_one_by_one(psf):
    """As on a graphics card, where each product is a launch: the same numbers, in as many launches for any field."""
    launches = []
    for height, width in ((130, 161), (100, 300), (100, 420)):
        grid = Grid(height, width, 4, 100.0)
        imaging, covariance = Imaging(psf, grid, torch.zeros(())), LaggedCovariance(psf, grid, torch.zeros(()))
        generator = torch.Generator().manual_seed(height)
        x, y, z = (
            torch.rand(shape, generator=generator)
            for shape in ((2, *grid.cells), (2, height, width), (4, height, width))
        )

        def products(imaging=imaging, covariance=covariance, x=x, y=y, z=z):
            return imaging.forward(x), imaging.adjoint(y), covariance.forward(x[0]), covariance.adjoint(z)

        apart = products()
        with Tally() as tally, batched_on_cpu():
            together = products()
        assert all(torch.equal(one, other) for one, other in zip(apart, together, strict=True))
        launches.append(tally.launches)
    assert launches[2] <= launches[1] + 8
