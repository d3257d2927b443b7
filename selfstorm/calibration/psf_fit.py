"""Least-squares fits of a PSF to the moments of a field: R(d) = a * (its autocorrelation at d) + constant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.psf_autocorrelation import autocorrelation
from selfstorm.frames import Array
from selfstorm.psf.models import Airy, Ellipse, Gaussian, Psf, equivalent_sigma_nm
from selfstorm.psf.pupil import ABERRATIONS, Pupil

STEP = 1e-3  # of the derivatives
NARROWEST_PX, WIDEST_PX = 0.4, 4.0  # standard deviations between which a round PSF can be told

ABERRATION_SD = 1.0
PRIOR = 1e-5  # of misfit: what one standard deviation from a prior costs
MOST_CHANGE = 2.0  # of any parameter: logarithms and radians
# one of each kind, and such as mix: the misfit has many valleys
PUPIL_STARTS = (
    (0.6, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.4, 0.4, 0.1, 0.1, 0.1, 0.0),
    (0.4, -0.4, 0.1, 0.1, -0.1, 0.0),
    (0.4, 0.1, 0.4, -0.1, 0.1, 0.0),
    (0.4, 0.1, -0.4, 0.1, 0.1, 0.0),
    (0.1, 0.1, 0.0, 0.6, 0.1, 0.0),
    (0.1, -0.1, 0.0, 0.1, 0.6, 0.0),
    (0.2, 0.0, 0.1, 0.4, 0.4, 0.1),
    (0.2, 0.0, -0.1, 0.4, -0.4, 0.1),
)


@dataclass(frozen=True)
class Fit:
    """A PSF held against the moments.

    misfit: share of the moments' variance over the lags that it leaves. noise: the share that chance leaves a PSF
    that is right. sd: of the fitted parameters, that of the logarithm of the width first; empty where none was.
    """

    psf: Psf
    misfit: float
    noise: float
    sd: tuple[float, ...] = ()

    @property
    def chi2(self) -> float:
        """The misfit in units of chance, about 1 where the PSF is right."""
        return self.misfit / max(self.noise, 1e-12)


class Target:
    """Moments to fit, scaled to a variance of 1 over the lags; of at least two blocks.

    Amplitude and constant are free: only what remains of both sides without them is compared.
    """

    def __init__(self, moments: FieldMoments, pixel_nm: float) -> None:
        mean, self.pixel_nm = moments.mean, pixel_nm
        scale = float(np.linalg.norm(mean - mean.mean())) or 1.0
        self.values, self.covariance = mean / scale, moments.covariance / scale**2

    @property
    def noise(self) -> float:
        """Share of the moments' variance that is chance: near 1, there is nothing to see."""
        return self._spread(np.ones((len(self.values), 1)))

    def hold(self, psf: Psf) -> Fit:
        """A PSF as it is, against the moments."""
        return Fit(psf, _power(self._residual(psf)), self._spread(self._basis(psf)))

    def fit(
        self,
        make: Callable[[Array], Psf],
        origin: Sequence[float] | Array,
        sd: Sequence[float] | Array | None = None,
        start: Sequence[float] | Array | None = None,
    ) -> Fit:
        """The PSF make(parameters) that fits best.

        origin: parameters to start from, unless `start` says others. sd: of a weak prior round the origin.
        """
        centre = np.asarray(origin, float)
        weights = np.zeros(len(centre)) if sd is None else math.sqrt(PRIOR) / np.asarray(sd)

        def residual(theta: Array) -> Array:
            return np.asarray(np.r_[self._residual(make(theta)), weights * (theta - centre)])

        bounds = (centre - MOST_CHANGE, centre + MOST_CHANGE)
        found = least_squares(
            residual,
            centre if start is None else start,
            bounds=bounds,
            diff_step=STEP,
            xtol=1e-5,
            ftol=1e-6,
            max_nfev=40,
        )
        psf, slopes = make(found.x), found.jac
        inverse = np.linalg.pinv(slopes)[:, : len(self.values)]
        sds = np.sqrt(np.diag(inverse @ self.covariance @ inverse.T).clip(min=0))
        basis = np.c_[self._basis(psf), slopes[: len(self.values)]]
        return Fit(psf, _power(self._residual(psf)), self._spread(basis), tuple(float(s) for s in sds))

    def _basis(self, psf: Psf) -> Array:
        return np.asarray(np.c_[np.ones(len(self.values)), autocorrelation(psf, self.pixel_nm)])

    def _residual(self, psf: Psf) -> Array:
        basis = self._basis(psf)
        return np.asarray(self.values - basis @ np.linalg.lstsq(basis, self.values, rcond=None)[0])

    def _spread(self, basis: Array) -> float:
        """Trace of the covariance of what the columns of the basis do not explain."""
        q, _ = np.linalg.qr(basis)
        free = np.eye(len(q)) - q @ q.T
        return float(np.trace(free @ self.covariance @ free))


def fit_round(target: Target) -> Fit:
    """The round Gaussian."""
    lowest, highest = NARROWEST_PX * target.pixel_nm, WIDEST_PX * target.pixel_nm
    widths = np.geomspace(lowest, highest, 24)
    best = min(widths, key=lambda sigma: target.hold(Gaussian(float(sigma))).misfit)
    return target.fit(lambda t: Gaussian(float(np.clip(math.exp(t[0]), lowest, highest))), [math.log(best)])


def fit_ellipse(target: Target, near_nm: float) -> Fit:
    """The elliptic Gaussian of any angle; it is fitted by its mean width and two components of its elongation."""

    def make(theta: Array) -> Ellipse:
        elongation = 0.5 * min(math.hypot(theta[1], theta[2]), 2.0)
        long_nm, short_nm = (math.exp(theta[0] + side * elongation) for side in (1, -1))
        return Ellipse(long_nm, short_nm, math.degrees(0.5 * math.atan2(theta[2], theta[1])) % 180)

    starts = [(math.log(near_nm), 0.2 * math.cos(turn), 0.2 * math.sin(turn)) for turn in (0.0, 2.1, 4.2)]
    return min((target.fit(make, start) for start in starts), key=lambda fit: fit.misfit)


def fit_pupil(target: Target, nominal: Airy, na_sd: float, enough: float) -> Fit:
    """An aberrated pupil. The autocorrelation does not tell a PSF from itself turned by 180 degrees.

    na_sd: how far the nominal numerical aperture is believed, as a relative standard deviation, so that defocus is
    not taken for a small one. Starts are tried until the misfit is below `enough`.
    """
    origin = np.zeros(1 + len(ABERRATIONS))

    def make(theta: Array) -> Pupil:
        na = nominal.na * math.exp(-float(theta[0]))
        return Pupil(na, nominal.wavelength_nm, tuple(float(value) for value in theta[1:]))

    sd = np.r_[na_sd, np.full(len(ABERRATIONS), ABERRATION_SD)]
    best = target.fit(make, origin, sd, np.r_[0.0, PUPIL_STARTS[0]])
    for start in PUPIL_STARTS[1:]:
        if best.misfit < enough:
            break
        best = min(best, target.fit(make, origin, sd, np.r_[0.0, start]), key=lambda fit: fit.misfit)
    return best


def fit_airy(target: Target, nominal: Airy, near_nm: float) -> Fit:
    """An Airy PSF of any scale, as a change of the numerical aperture."""
    start = math.log(near_nm / equivalent_sigma_nm(nominal))

    def make(theta: Array) -> Airy:
        return replace(nominal, na=nominal.na * math.exp(-float(theta[0])))

    return target.fit(make, [start])


def _power(values: Array) -> float:
    return float(values @ values)
