"""ADCG: emitters added one by one where the likelihood rises most.

Every frame alone: an emitter is added at the best point of a grid, positions and photons of all are fitted together,
and emitters that became dim are dropped, until a new one no longer pays. The number of emitters is bounded by the gain
asked of each, not by their summed photons as in the paper.

Reference:
    Boyd, Schiebinger & Recht, The alternating descent conditional gradient method for sparse inverse problems,
    SIAM Journal on Optimization 27, 616 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from selfstorm.simulation.spots import SeparablePsf

Floats = NDArray[np.float64]
MIN_GAIN_NATS = 8.0  # by which a new emitter raises the likelihood of the frame
MIN_PHOTONS = 50.0
GRID_PER_PX = 2
STEPS, LAST_STEPS = 15, 100  # of descent, after each new emitter and in the end
_STEP_NM = 1.0  # of the numerical slope along a position
_UNITS = np.array([100.0, 100.0, 1_000.0])  # of y and x in nm and photons, so that steps are alike


@dataclass(frozen=True)
class PixelPsf:
    """A PSF integrated over the pixels of a frame.

    Attributes:
        psf: point-spread function.
        pixel_nm: camera pixel in the sample.
        shape: (H, W) of the frame.
    """

    psf: SeparablePsf
    pixel_nm: float
    shape: tuple[int, int]

    def modes(self, at_nm: Floats, axis: int) -> Floats:
        """Integrate the PSF's modes over rows or columns: (N, R, P)."""
        edges_nm = np.arange(self.shape[axis] + 1) * self.pixel_nm
        return self.psf.integrals(edges_nm - at_nm[:, None], "yx"[axis])  # type: ignore[arg-type]

    def slopes(self, at_nm: Floats, axis: int) -> Floats:
        """Differentiate `modes` by the position: (N, R, P)."""
        after, before = self.modes(at_nm + _STEP_NM, axis), self.modes(at_nm - _STEP_NM, axis)
        return np.asarray((after - before) / (2 * _STEP_NM))

    @cached_property
    def grid(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Positions and modes of the grid's rows and columns."""
        at = [(np.arange(GRID_PER_PX * side) + 0.5) * self.pixel_nm / GRID_PER_PX for side in self.shape]
        return (at[0], self.modes(at[0], 0)), (at[1], self.modes(at[1], 1))


def adcg(frame: Floats, background: Floats, optics: PixelPsf, min_gain_nats: float = MIN_GAIN_NATS) -> Floats:
    """Find the emitters of a frame.

    Args:
        frame: (H, W) photons.
        background: (H, W) photons expected without emitters, above 0.
        optics: of the microscope.
        min_gain_nats: of log-likelihood, that an emitter must bring.

    Returns:
        (N, 3) y and x in nm, photons.
    """
    emitters, loss = np.empty((0, 3)), _loss(frame, background)
    while True:
        grown, grown_loss = _fitted(
            np.vstack([emitters, _best_point(frame, background, emitters, optics)]), frame, background, optics, STEPS
        )
        if loss - grown_loss < min_gain_nats:
            break
        emitters, loss = grown[grown[:, 2] > MIN_PHOTONS], grown_loss
    if not len(emitters):
        return emitters
    emitters, _ = _fitted(emitters, frame, background, optics, LAST_STEPS)
    return emitters[emitters[:, 2] > MIN_PHOTONS]


def _best_point(frame: Floats, background: Floats, emitters: Floats, optics: PixelPsf) -> Floats:
    """Return the grid's emitter (3,) along which the loss falls fastest."""
    (y_nm, rows), (x_nm, columns) = optics.grid
    expected = background + _light(emitters, optics)
    slope = np.einsum("r,yrh,hw,xrw->yx", optics.psf.weights, rows, 1 - frame / expected, columns, optimize=True)
    y, x = np.unravel_index(slope.argmin(), slope.shape)
    seen = np.einsum("r,rh,rw->hw", optics.psf.weights, rows[y], columns[x])
    photons = (seen * (frame - expected)).sum() / (seen**2).sum()  # of the best fit of it alone
    return np.array([y_nm[y], x_nm[x], max(photons, MIN_PHOTONS)])


def _fitted(emitters: Floats, frame: Floats, background: Floats, optics: PixelPsf, steps: int) -> tuple[Floats, float]:
    """Fit positions and photons of all emitters together.

    Returns:
        emitters (N, 3); negative log-likelihood of the frame.
    """
    limits = [(-optics.pixel_nm, (side + 1) * optics.pixel_nm) for side in optics.shape] + [(0.0, np.inf)]
    bounds = [(low / unit, high / unit) for (low, high), unit in zip(limits, _UNITS, strict=True)] * len(emitters)

    def value_and_slope(flat: Floats) -> tuple[float, Floats]:
        loss, slope = _loss_and_slope(flat.reshape(-1, 3) * _UNITS, frame, background, optics)
        return loss, (slope * _UNITS).ravel()

    start = (emitters / _UNITS).ravel()
    found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    return found.x.reshape(-1, 3) * _UNITS, float(found.fun)


def _loss_and_slope(emitters: Floats, frame: Floats, background: Floats, optics: PixelPsf) -> tuple[float, Floats]:
    """Compute the loss, and its slope (N, 3) by y, x and photons."""
    (y_nm, x_nm, photons), weights = emitters.T, optics.psf.weights
    rows, columns = optics.modes(y_nm, 0), optics.modes(x_nm, 1)
    expected = background + np.einsum("n,r,nrh,nrw->hw", photons, weights, rows, columns, optimize=True)
    residual = 1 - frame / expected
    by_row = np.einsum("hw,nrw->nrh", residual, columns, optimize=True)
    by_column = np.einsum("hw,nrh->nrw", residual, rows, optimize=True)
    slopes = (
        photons * np.einsum("r,nrh,nrh->n", weights, optics.slopes(y_nm, 0), by_row),
        photons * np.einsum("r,nrw,nrw->n", weights, optics.slopes(x_nm, 1), by_column),
        np.einsum("r,nrh,nrh->n", weights, rows, by_row),
    )
    return _loss(frame, expected), np.stack(slopes, 1)


def _light(emitters: Floats, optics: PixelPsf) -> Floats:
    y_nm, x_nm, photons = emitters.T
    rows, columns = optics.modes(y_nm, 0), optics.modes(x_nm, 1)
    return np.asarray(np.einsum("n,r,nrh,nrw->hw", photons, optics.psf.weights, rows, columns, optimize=True))


def _loss(frame: Floats, expected: Floats) -> float:
    """Compute the negative Poisson log-likelihood, less a constant."""
    return float((expected - frame * np.log(expected)).sum())
