"""Least-squares fits of a PSF to field moments.

R(d) = a rho(d) + b eta(d) + const, with rho the autocorrelation of the PSF and eta that of blinking haze: of emitters
out of focus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from selfstorm.calibration.field_moments import FIELD_LAGS, FieldMoments
from selfstorm.calibration.psf_autocorrelation import autocorrelation
from selfstorm.frames import Array
from selfstorm.psf.kind import FitFamily
from selfstorm.psf.models import Gaussian, Psf

STEP = 1e-3  # of the derivatives
MIN_SIGMA_PX, MAX_SIGMA_PX = 0.4, 4.0  # standard deviations between which a round PSF can be measured

SCANNED_WIDTHS = 24
HAZE_SIGMA_PX = 3.0  # measured: widths from 2 to 6 give the same PSF within 1 %
HAZE = np.exp(-(FIELD_LAGS**2).sum(1) / (4 * HAZE_SIGMA_PX**2))
PRIOR = 1e-5  # misfit that one standard deviation from a prior costs
MAX_CHANGE = 2.0  # of any parameter, logarithms or radians


@dataclass(frozen=True)
class Fit:
    """A PSF compared with the moments.

    Attributes:
        psf: the PSF.
        misfit: share of the moments' variance over the lags that it does not explain.
        noise: expected misfit of the right PSF, from chance alone.
        sd: of the fitted parameters, that of the logarithm of the width first; empty if none was fitted.
    """

    psf: Psf
    misfit: float
    noise: float
    sd: tuple[float, ...] = ()

    @property
    def chi2(self) -> float:
        """Misfit in units of chance, about 1 for the right PSF."""
        return self.misfit / max(self.noise, 1e-12)


class MomentTarget:
    """Moments to fit, scaled to a variance of 1 over the lags.

    Amplitudes and constant are free: both sides are compared without them.

    Args:
        moments: of at least two blocks.
        pixel_nm: camera pixel.
        hazy: haze is fitted beside the PSF.
    """

    def __init__(self, moments: FieldMoments, pixel_nm: float, *, hazy: bool = False) -> None:
        mean, self.pixel_nm, self.hazy = moments.mean, pixel_nm, hazy
        scale = float(np.linalg.norm(mean - mean.mean())) or 1.0
        self.values, self.covariance = mean / scale, moments.covariance / scale**2

    @property
    def noise(self) -> float:
        """Share of the moments' variance that is chance.

        Near 1 the moments show nothing.
        """
        return self._spread(np.ones((len(self.values), 1)))

    def haze(self, psf: Psf) -> float:
        """Return the amplitude of the haze beside a PSF; the target is hazy."""
        return float(np.linalg.lstsq(self._basis(psf), self.values, rcond=None)[0][-1])

    def hold(self, psf: Psf) -> Fit:
        """Compare a PSF as it is with the moments."""
        return Fit(psf, _power(self._residual(psf)), self._spread(self._basis(psf)))

    def fit(self, family: FitFamily, good_misfit: float = 0.0) -> Fit:
        """Fit the PSF of a family.

        Args:
            family: with the starts, tried in turn.
            good_misfit: below which no further start is tried.

        Raises:
            ValueError: the family has no start.
        """
        best: Fit | None = None
        for start in family.starts:
            fit = self._fit_from(family, start)
            if best is None or fit.misfit < best.misfit:
                best = fit
            if best.misfit < good_misfit:
                break
        if best is None:
            raise ValueError("a family of PSFs without a start")
        return best

    def _fit_from(self, family: FitFamily, start: Array) -> Fit:
        """Fit by least squares from one start, with the family's prior."""
        centre = start if family.origin is None else family.origin
        weights = np.zeros(len(centre)) if family.sd is None else math.sqrt(PRIOR) / family.sd

        def residual(theta: Array) -> Array:
            return np.asarray(np.r_[self._residual(family.make(theta)), weights * (theta - centre)])

        bounds = (centre - MAX_CHANGE, centre + MAX_CHANGE)
        found = least_squares(residual, start, bounds=bounds, diff_step=STEP, xtol=1e-5, ftol=1e-6, max_nfev=40)
        psf, slopes = family.make(found.x), found.jac
        inverse = np.linalg.pinv(slopes)[:, : len(self.values)]
        sds = np.sqrt(np.diag(inverse @ self.covariance @ inverse.T).clip(min=0))
        basis = np.c_[self._basis(psf), slopes[: len(self.values)]]
        return Fit(psf, _power(self._residual(psf)), self._spread(basis), tuple(float(s) for s in sds))

    def _basis(self, psf: Psf) -> Array:
        haze = [HAZE] if self.hazy else []
        return np.stack([np.ones(len(self.values)), autocorrelation(psf, self.pixel_nm), *haze], 1)

    def _residual(self, psf: Psf) -> Array:
        basis = self._basis(psf)
        return np.asarray(self.values - basis @ np.linalg.lstsq(basis, self.values, rcond=None)[0])

    def _spread(self, basis: Array) -> float:
        """Return the variance that the columns of the basis do not explain.

        The trace of the covariance projected onto the complement of the basis.
        """
        q, _ = np.linalg.qr(basis)
        free = np.eye(len(q)) - q @ q.T
        return float(np.trace(free @ self.covariance @ free))


def fit_round(target: MomentTarget) -> Fit:
    """Fit the round Gaussian, from the best of a scan of widths."""
    lowest, highest = MIN_SIGMA_PX * target.pixel_nm, MAX_SIGMA_PX * target.pixel_nm
    widths = np.geomspace(lowest, highest, SCANNED_WIDTHS)
    best = min(widths, key=lambda sigma: target.hold(Gaussian(float(sigma))).misfit)
    return target.fit(Gaussian.family(best, lowest, highest))


def _power(values: Array) -> float:
    return float(values @ values)
