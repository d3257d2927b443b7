"""Field moments of a known PSF, up to a factor and a constant.

They are what field_moments.py measures.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from selfstorm.calibration.field_moments import FIELD_LAGS, REACH_PX
from selfstorm.frames import Array
from selfstorm.psf.models import Psf

SAMPLES = 64


@lru_cache(maxsize=64)
def autocorrelation(psf: Psf, pixel_nm: float) -> Array:
    """Return the autocorrelation of a PSF integrated over camera pixels.

    Returns:
        (40,) at FIELD_LAGS, 1 at lag 0; read-only.
    """
    spectrum, frequency = _pixelated(psf, pixel_nm)
    power = np.abs(spectrum) ** 2
    return _at_lags(power / power.sum(), frequency * pixel_nm)


@lru_cache(maxsize=16)
def third_moment(psf: Psf, pixel_nm: float, *, odd: bool) -> Array:
    """Sum h(p)^2 h(p + d) over p, for a PSF h integrated over camera pixels.

    The odd part is zero if the PSF looks the same when turned by 180 degrees.

    Args:
        psf: the PSF.
        pixel_nm: camera pixel.
        odd: return the odd part; else the even one.

    Returns:
        (80,) at FIELD_LAGS and at -FIELD_LAGS, of norm 1 unless zero; read-only.
    """
    spectrum, frequency = _pixelated(psf, pixel_nm)
    both = np.fft.fft2(np.fft.ifft2(spectrum).real ** 2).conj() * spectrum
    part = _at_lags(1j * both.imag if odd else both.real, frequency * pixel_nm)
    values = np.r_[part, -part if odd else part]
    answer = np.asarray(values / max(float(np.linalg.norm(values)), 1e-12))
    answer.flags.writeable = False
    return answer


def _pixelated(psf: Psf, pixel_nm: float) -> tuple[Array, Array]:
    """Transform the PSF integrated over camera pixels.

    Returns:
        (n, n) Fourier transform, and its (n,) frequencies per nm.
    """
    half_nm = psf.reach_nm + 2 * pixel_nm  # far enough that lags do not wrap around the period
    step_nm = 2 * half_nm / SAMPLES
    frequency = np.fft.fftfreq(SAMPLES, step_nm)
    pixel = np.sinc(frequency * pixel_nm)
    kernel = psf.kernel((np.arange(SAMPLES) - SAMPLES // 2) * step_nm)
    return np.fft.fft2(np.fft.ifftshift(kernel)) * pixel[:, None] * pixel, frequency


def _at_lags(spectrum: Array, frequency: Array) -> Array:
    """Evaluate the function of a spectrum at FIELD_LAGS: (40,).

    Args:
        spectrum: (n, n).
        frequency: (n,) per pixel.
    """
    rows, columns = (
        np.exp(2j * np.pi * np.outer(lags, frequency))
        for lags in (np.arange(REACH_PX + 1), np.arange(-REACH_PX, REACH_PX + 1))
    )
    values = (rows @ spectrum @ columns.T).real[FIELD_LAGS[:, 0], FIELD_LAGS[:, 1] + REACH_PX]
    values.flags.writeable = False
    return np.asarray(values)
