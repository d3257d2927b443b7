"""The density network with its optics as a tensor, so that a misfit has a gradient in the PSF's parameters.

For small training problems: the PSF is sampled on the SR grid of a crop, integrated over pixel and cell by its
spectrum, and applied by FFT to each phase of the cells, whatever its shape. Only its own parameters move, those that
do so smoothly; what is always positive moves as a logarithm.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from selfstorm.calibration.field_moments import FIELD_LAGS
from selfstorm.physics.multiplicative import multiplicative_step
from selfstorm.physics.operators import LAGS, PAD_PX, Lags, inside_field, unseen_infinite
from selfstorm.psf.models import Airy, Ellipse, Gaussian, Psf, reach_px
from selfstorm.psf.pupil import ABERRATIONS, SAMPLES, Pupil, zernikes
from selfstorm.stages.covariances import WindowStatistics
from selfstorm.stages.density import density, shifted_data

SCALE = 3  # cells along a pixel of a training problem
MARGIN_PX = 2  # beyond the PSF's reach: so that lags do not meet round the period, and for a PSF that grows
COVARIANCE_REACH_PX = 6  # products of two PSFs are below 1e-4 of their height beyond it
FREE_ITERATIONS, SLOPED_ITERATIONS = 20, 6  # measured: 30 and 10 find the same optics in half as much time again
FIRST_DEFOCUS = 0.3  # rad; nothing slopes at none, where more focus is as good as less
TINY = 1e-12
Smooth = Gaussian | Ellipse | Pupil


def smooth(psf: Psf) -> Smooth:
    """The same PSF as one that has parameters to move: an Airy one as a pupil without aberrations."""
    if isinstance(psf, Airy):
        return Pupil(psf.na, psf.wavelength_nm, (0.0,) * len(ABERRATIONS), psf.origin)
    return psf


def first(psf: Psf) -> Tensor:
    """(P,) parameters to start from: of an Airy PSF a little out of focus, for the reason at FIRST_DEFOCUS."""
    theta = parameters(smooth(psf))
    if isinstance(psf, Airy):
        theta[1] = FIRST_DEFOCUS
    return theta


def parameters(psf: Smooth) -> Tensor:
    """(P,) float64, logarithms and radians.

    Gaussian: its width. Ellipse: mean width and two components of the elongation. Pupil: one over NA, aberrations.
    """
    match psf:
        case Gaussian():
            values = [math.log(psf.sigma_nm)]
        case Ellipse():
            turn, elongation = 2 * math.radians(psf.angle_deg), math.log(psf.long_nm / psf.short_nm)
            width = 0.5 * math.log(psf.long_nm * psf.short_nm)
            values = [width, elongation * math.cos(turn), elongation * math.sin(turn)]
        case Pupil():
            values = [-math.log(psf.na), *psf.aberrations]
    return torch.tensor(values, dtype=torch.float64)


def with_parameters(psf: Smooth, theta: Tensor, origin: str) -> Psf:
    """The PSF of the same kind that has these parameters."""
    values = [float(value) for value in theta]
    match psf:
        case Gaussian():
            return Gaussian(math.exp(values[0]), origin)
        case Ellipse():
            half = 0.5 * math.hypot(values[1], values[2])
            angle_deg = math.degrees(0.5 * math.atan2(values[2], values[1])) % 180
            return Ellipse(math.exp(values[0] + half), math.exp(values[0] - half), angle_deg, origin)
        case Pupil():
            return replace(psf, na=math.exp(-values[0]), aberrations=tuple(values[1:]), origin=origin)


def samples(psf: Smooth, theta: Tensor, axis_nm: Tensor) -> Tensor:
    """(n, n) the PSF of these parameters at (y, x) on an even axis (n,), of total 1, with its gradient in theta."""
    y, x = axis_nm[:, None], axis_nm[None, :]
    match psf:
        case Gaussian():
            density = torch.exp(-0.5 * (x * x + y * y) * torch.exp(-2 * theta[0]))
        case Ellipse():
            elongation = torch.sqrt(theta[1] ** 2 + theta[2] ** 2 + TINY)
            lean = torch.sinh(elongation) / elongation
            square = torch.cosh(elongation) * (x * x + y * y)
            tilted = lean * (theta[1] * (x * x - y * y) + 2 * theta[2] * x * y)
            density = torch.exp(-0.5 * (square - tilted) * torch.exp(-2 * theta[0]))
        case Pupil():
            amplitude, phases = (torch.as_tensor(part) for part in zernikes())
            phase = torch.tensordot(theta[1:], phases, 1)
            across = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) * 2 / SAMPLES - 1
            angle = 2 * math.pi / psf.wavelength_nm * torch.exp(-theta[0]) * torch.outer(axis_nm, across)
            wave = torch.polar(torch.ones_like(angle), angle)
            density = (wave @ torch.polar(amplitude, phase) @ wave.mT).abs() ** 2
    return density / density.sum()


class Optics:
    """A kind of PSF on the SR grid around a camera pixel.

    psf: where the parameters start; `theta` below are tensors like parameters(psf).
    """

    def __init__(self, psf: Smooth, pixel_nm: float) -> None:
        self.psf = psf
        self.pixels = 2 * (reach_px(psf, pixel_nm) + MARGIN_PX) + 1
        cells, pitch_nm = self.pixels * SCALE, pixel_nm / SCALE
        self.axis_nm = (torch.arange(cells, dtype=torch.float64) + 0.5 - cells / 2) * pitch_nm
        frequency = torch.fft.fftfreq(cells, pitch_nm, dtype=torch.float64)
        self.pixel, self.cell = torch.sinc(frequency * pixel_nm), torch.sinc(frequency * pitch_nm)

    def spectrum(self, theta: Tensor) -> Tensor:
        """(n, n) complex Fourier transform of the PSF integrated over camera pixels."""
        spot: Tensor = torch.fft.fft2(samples(self.psf, theta, self.axis_nm))
        return spot * torch.outer(self.pixel, self.pixel)

    def autocorrelation(self, spectrum: Tensor) -> Tensor:
        """(40,) at FIELD_LAGS, 1 at lag 0; as psf_moments.autocorrelation."""
        whole: Tensor = torch.fft.ifft2(spectrum.abs() ** 2).real
        lag_y, lag_x = torch.as_tensor(FIELD_LAGS.T * SCALE)
        return whole[lag_y, lag_x] / whole[0, 0]

    def kernels(self, spectrum: Tensor, lags: tuple[tuple[int, int], ...]) -> Tensor:
        """(lags, s*n, s*n) what the covariance of pixels p and p + lag holds of the cells around p."""
        spot = torch.fft.ifft2(spectrum * torch.outer(self.cell, self.cell)).real * SCALE**2
        seen = spot.flip(0, 1)  # a pixel on an emitter's right sees it on its left
        surplus = max(0, self.pixels // 2 - COVARIANCE_REACH_PX) * SCALE
        part = slice(surplus, len(seen) - surplus)
        shifted = [torch.roll(seen, (dy * SCALE, dx * SCALE), (0, 1)) for dy, dx in lags]
        return torch.stack([(seen * other)[part, part] for other in shifted])


class Covariance:
    """F of any kernel and any lags: density on the padded SR grid of a field -> covariances between pixels, and back.

    kernels: (lags, s*n, s*n), n odd. The cells are kept as (s, s, H + 2 pad, W + 2 pad), a map for each phase.
    """

    def __init__(self, kernels: Tensor, lags: Lags, height: int, width: int) -> None:
        self.field, self._lags = (height, width), lags
        self.padded = height + 2 * PAD_PX, width + 2 * PAD_PX
        blocks = kernels.shape[-1] // SCALE
        reach = blocks // 2
        self.shape = tuple(next_fast_len(side + PAD_PX + max(PAD_PX, reach), True) for side in self.field)
        phases = kernels.float().reshape(-1, blocks, SCALE, blocks, SCALE).permute(0, 2, 4, 1, 3)
        size_y, size_x = self.shape
        wide = torch.nn.functional.pad(phases, (0, size_x - blocks, 0, size_y - blocks))
        self.spectrum = torch.fft.rfft2(torch.roll(wide, (PAD_PX - reach, PAD_PX - reach), (-2, -1)))

    @cached_property
    def norm(self) -> Tensor:
        """F^T 1 over the rows that mean something, with its slope in the kernels."""
        with torch.enable_grad():  # whoever asks first: it is kept
            return unseen_infinite(self.adjoint(inside_field(self._lags, torch.zeros(self.field))))

    def forward(self, m: Tensor) -> Tensor:
        """(s, s, H + 2 pad, W + 2 pad) -> (lags, H, W)."""
        spread = (torch.fft.rfft2(m, self.shape) * self.spectrum.conj()).sum((1, 2))
        out: Tensor = torch.fft.irfft2(spread, self.shape)
        return out[..., : self.field[0], : self.field[1]]

    def adjoint(self, z: Tensor) -> Tensor:
        """(lags, H, W) -> (s, s, H + 2 pad, W + 2 pad)."""
        spread = (torch.fft.rfft2(z, self.shape)[:, None, None] * self.spectrum).sum(0)
        out: Tensor = torch.fft.irfft2(spread, self.shape)
        return out[..., : self.padded[0], : self.padded[1]]


def learned_density(optics: Optics, spectrum: Tensor, statistics: WindowStatistics) -> Tensor:
    """(s, s, H + 2 pad, W + 2 pad) from a flat start, by iterations without a slope and a few with one.

    The slope of the last iterations stands for that of all: it points the same way at a part of the cost.
    """
    operator = Covariance(optics.kernels(spectrum, LAGS), LAGS, *statistics.mean.shape)
    with torch.no_grad():
        m = density(operator, statistics, FREE_ITERATIONS)
    data, offset = shifted_data(statistics)
    for _ in range(SLOPED_ITERATIONS):
        m = multiplicative_step(operator, m, data, offset, floor=TINY)
    return m
