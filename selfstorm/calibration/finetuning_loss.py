"""Loss of fine-tuning: misfit of covariances and of field moments."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from selfstorm.calibration.differentiable_psf import Covariance, Optics, learned_density
from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.psf_fit import MomentTarget
from selfstorm.physics.operators import Lags, inside_field
from selfstorm.psf.models import Psf
from selfstorm.stages.covariances import shifted, trend, window_statistics

MAX_NOISE = 0.1  # share of the moments that is chance; above, they show nothing
MAX_AGREEING_CHI2, MIN_VISIBLE_MISFIT = 3.0, 1e-3  # of the moments: chance, and a width 4 % off
ANCHOR = 0.3  # measured: with 3, chance in the moments made coma where there was none; with 0, widths come out small
NA_SD, NA_WEIGHT = 0.05, 0.3  # the numerical aperture is known; defocus must not pass for a small one
MIN_CURVATURE = 10.0  # of the loss, per radian or logarithm squared
DIFFERENCE = 1e-4  # for the curvature, which need not be exact
TINY = 1e-12


def _lags(nearest: int, farthest: int) -> Lags:
    """Return the lags of one half plane between two distances.

    The larger component is from `nearest` to `farthest` pixels.
    """
    half = [(dy, dx) for dy in range(farthest + 1) for dx in range(-farthest, farthest + 1) if (dy, dx) > (0, 0)]
    return tuple(lag for lag in half if max(lag[0], abs(lag[1])) >= nearest)


LOSS_LAGS, FAR_LAGS = _lags(1, 2), _lags(3, 3)


class Half:
    """Half of a window's frames: statistics, covariances to predict, moments.

    Args:
        y: (T, H, W) photons, for the network.
        wider: (T, ...) the same frames of a larger part of the field, for the moments.
        pixel_nm: camera pixel.
    """

    def __init__(self, y: Tensor, wider: Tensor, pixel_nm: float) -> None:
        self.statistics, self.c = window_statistics(y), y - trend(y)
        self.variance = (self.c * self.c).mean(0)
        moments = FieldMoments()
        moments.add(wider.numpy())
        self.informative = False
        if len(moments.pairs):
            self.target = MomentTarget(moments, pixel_nm)
            self.informative = self.target.noise < MAX_NOISE

    def agrees(self, psf: Psf) -> bool:
        """Return True if the moments differ from a PSF's by chance alone.

        Or by less than a picture would show.
        """
        fit = self.target.hold(psf)
        return fit.chi2 < MAX_AGREEING_CHI2 or fit.misfit < MIN_VISIBLE_MISFIT

    def misfit(self, optics: Optics, spectrum: Tensor, lags: Lags) -> Tensor:
        """Measure how badly the half's own density predicts its covariances.

        The density's brightness is fitted once more: whitening and significance scale the covariances it was made from.

        Args:
            optics: for the kernels.
            spectrum: (n, n) of the PSF, differentiable.
            lags: at which the covariances are compared.

        Returns:
            (H, W) mean squared residual over the lags, in variances.
        """
        m = learned_density(optics, spectrum, self.statistics)
        predicted = Covariance(optics.kernels(spectrum, lags), lags, *self.variance.shape).forward(m)
        measured = torch.stack([(self.c * shifted(self.c, *lag)).sum(0) for lag in lags]) / (len(self.c) - 1)
        variance = torch.stack([self.variance * shifted(self.variance, *lag) for lag in lags])
        inside = inside_field(lags, self.variance)
        weight = inside * len(self.c) / (variance + measured**2).clamp(min=TINY)
        brightness = (weight * measured * predicted).sum() / (weight * predicted**2).sum()
        misfit: Tensor = (weight * (measured - brightness * predicted) ** 2).mean(0)
        return misfit


class Loss:
    """Misfit at the nearest lags + ANCHOR * chi2 of the moments.

    A function of the parameters of a kind of PSF; the nearest lags are the twelve of LOSS_LAGS.
    """

    def __init__(self, half: Half, psf: Psf, pixel_nm: float) -> None:
        self.half, self.optics = half, Optics(psf, pixel_nm)
        self.nominal = self.optics.theta
        values = torch.as_tensor(half.target.values)
        self.values, self.noise = values - values.mean(), max(half.target.hold(psf).noise, TINY)

    def residual(self, theta: Tensor) -> Tensor:
        """Return residuals whose squares add up to the anchor's loss.

        Those of the moments, and those of the prior on nominal parameters.
        """
        rho = self.optics.autocorrelation(self.optics.spectrum(theta))
        rho = rho - rho.mean()
        left = (self.values - (self.values @ rho) / (rho @ rho) * rho) * math.sqrt(ANCHOR / self.noise)
        from_nominal = (theta - self.nominal)[: self.optics.psf.nominal_parameters]
        return torch.cat([left, from_nominal * (NA_WEIGHT / NA_SD)])

    def curvature(self, theta: Tensor) -> Tensor:
        """Return the Gauss-Newton curvature of the residual, with a floor: (P, P)."""
        axes = DIFFERENCE * torch.eye(len(theta), dtype=theta.dtype)
        with torch.no_grad():
            rises = [self.residual(theta + axis) - self.residual(theta - axis) for axis in axes]
        slopes = torch.stack(rises, 1) / (2 * DIFFERENCE)
        floor = MIN_CURVATURE * torch.eye(len(theta), dtype=theta.dtype)
        return 2 * slopes.mT @ slopes + floor

    def __call__(self, theta: Tensor) -> tuple[float, Tensor]:
        """Return the loss and its gradient (P,)."""
        theta = theta.clone().requires_grad_()
        misfit = self.half.misfit(self.optics, self.optics.spectrum(theta), LOSS_LAGS).mean()
        loss = misfit + (self.residual(theta) ** 2).sum()
        (slope,) = torch.autograd.grad(loss, theta)
        return float(loss.detach()), slope
