"""Fine-tuning on one window, in a budget: the optics by gradient through the unrolled density network.

The optics are the one thing for which such steps were seen to help; steps on anything else improve the prediction and
damage the picture. Half of the window's frames give the densities and the loss; the other half, and pairs of pixels
further apart than any in the loss, judge. What is not clearly better there is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from selfstorm.density import density
from selfstorm.field_moments import FieldMoments
from selfstorm.frames import Array
from selfstorm.operators import LAGS
from selfstorm.optics import Psf
from selfstorm.optics_gradient import Covariance, Optics, parameters, smooth, with_parameters
from selfstorm.psf_fit import Target
from selfstorm.statistics import WindowStatistics, shifted, trend, window_statistics

Outcome = Literal["kept", "rolled back", "not needed", "not possible"]
Lags = tuple[tuple[int, int], ...]


def _ring(nearest: int, farthest: int) -> Lags:
    """Lags of one half plane whose larger component is so many pixels."""
    half = [(dy, dx) for dy in range(farthest + 1) for dx in range(-farthest, farthest + 1) if (dy, dx) > (0, 0)]
    return tuple(lag for lag in half if nearest <= max(abs(lag[0]), abs(lag[1])) <= farthest)


LOSS_LAGS, FAR_LAGS = _ring(1, 2), _ring(3, 3)
SIDE_PX = 64  # of the field that is learned from: the brightest part of a larger one
BLOCK_FRAMES = 10  # blocks go to one half or the other whole: emitters that stay on tie neighbouring frames together
LEAST_FRAMES = 40
FREE_LAYERS, SLOPED_LAYERS = 30, 10
ANCHOR = 3.0
RATE, SMALLEST_RATE = 0.03, 0.003
AGREES_CHI2 = 3.0
MATTERS = 1e-3


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many steps, and no step after so many seconds; None: as long as they take, so that a replay is
    exact."""

    steps: int = 12
    seconds: float | None = None


@dataclass(frozen=True)
class FitReport:
    """What fine-tuning did, and the PSF to use from now on.

    losses: before each step. held_out: misfit of the judging half's far pixel pairs, 1 where only chance is left.
    anchor: chi2 of that half's field-summed moments. reason: for the user.
    """

    psf: Psf
    outcome: Outcome
    reason: str
    steps: int = 0
    losses: tuple[float, ...] = ()
    held_out_before: float = float("nan")
    held_out_after: float = float("nan")
    anchor_before: float = float("nan")
    anchor_after: float = float("nan")
    gain: float = 0.0
    seconds: float = 0.0


class Half:
    """Half of a window: what the network is given, and what it is to predict."""

    def __init__(self, y: Tensor) -> None:
        self.frames, self.statistics = len(y), window_statistics(y)
        self.c = y - trend(y)
        self.variance = (self.c * self.c).mean(0)

    def covariances(self, lags: Lags) -> tuple[Tensor, Tensor]:
        """(lags, H, W) each: covariances and one over their variances, 0 where p + lag is outside."""
        inside = torch.stack([shifted(torch.ones_like(self.variance), *lag) for lag in lags])
        d = torch.stack([(self.c * shifted(self.c, *lag)).sum(0) for lag in lags]) / (self.frames - 1)
        v = (torch.stack([self.variance * shifted(self.variance, *lag) for lag in lags]) + d * d) / self.frames
        return d, inside / v.clamp(min=1e-12)


def learned(optics, theta, statistics, sloped=SLOPED_LAYERS, free=FREE_LAYERS):
    spectrum = optics.spectrum(theta)
    operator = Covariance(optics.kernels(spectrum, LAGS), *statistics.mean.shape)
    with torch.no_grad():
        m = density(operator, statistics, free)
    return spectrum, density(operator, statistics, sloped, m.clone())


def misfits(optics, spectrum, m, half, lags):
    d, w = half.covariances(lags)
    p = Covariance(optics.kernels(spectrum, lags), *d.shape[1:]).forward(m)
    scale = (w * d * p).sum() / (w * p * p).sum()
    return w * (d - scale * p) ** 2


def anchor(optics, spectrum, target):
    rho = optics.autocorrelation(spectrum)
    values = torch.as_tensor(target.values)
    values, rho = values - values.mean(), rho - rho.mean()
    left = values - (values @ rho) / (rho @ rho) * rho
    return (left @ left) / max(target.hold_noise, 1e-12)
