"""The density network with its optics as a tensor, for gradients.

A misfit has a gradient in the PSF's parameters. For small training problems: the PSF is sampled on the SR grid of a
crop, integrated over pixel and cell by its spectrum, and applied by FFT to each phase of the cells, whatever its shape.
Only the PSF's own smooth parameters vary; positive quantities vary as logarithms.
"""

from __future__ import annotations

from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from selfstorm.calibration.field_moments import FIELD_LAGS
from selfstorm.physics.multiplicative import multiplicative_step
from selfstorm.physics.operators import LAGS, PAD_PX, Lags, inside_field, unseen_infinite
from selfstorm.psf.centre import centre_nm
from selfstorm.psf.models import Psf, Tunable, reach_px, tunable
from selfstorm.stages.covariances import WindowStatistics
from selfstorm.stages.density import density, shifted_data

SCALE = 3  # cells along a pixel of a training problem
MARGIN_PX = 2  # beyond the PSF's reach: lags must not wrap around the period, and the PSF may grow
COVARIANCE_REACH_PX = 6  # products of two PSFs are below 1e-4 of their height beyond it
FREE_ITERATIONS, SLOPED_ITERATIONS = 20, 6  # measured: 30 and 10 find the same optics in half as much time again
TINY = 1e-12


def parameters(psf: Tunable) -> Tensor:
    """Return the parameters of a PSF, (P,) float64."""
    return torch.tensor(psf.parameters(), dtype=torch.float64)


class Optics:
    """A tunable PSF on the SR grid around a camera pixel.

    `theta` below are tensors (P,), float64, of its kind's parameters. The emitter is at the centre of the PSF to start
    from, whatever theta: a shift of all emitters changes no misfit.

    Args:
        psf: its parameters are the ones to start from.
        pixel_nm: camera pixel.
    """

    def __init__(self, psf: Psf, pixel_nm: float) -> None:
        self.psf = tunable(psf)
        self.pixels = 2 * (reach_px(psf, pixel_nm) + MARGIN_PX) + 1
        cells, pitch_nm = self.pixels * SCALE, pixel_nm / SCALE
        self.axis_nm = (torch.arange(cells, dtype=torch.float64) + 0.5 - cells / 2) * pitch_nm
        frequency = torch.fft.fftfreq(cells, pitch_nm, dtype=torch.float64)
        self.pixel, self.cell = torch.sinc(frequency * pixel_nm), torch.sinc(frequency * pitch_nm)
        at_nm = centre_nm(self.psf.samples(self.theta, self.axis_nm).numpy(), pitch_nm)
        self.shift = torch.outer(*(torch.exp(2j * torch.pi * frequency * one_nm) for one_nm in at_nm))

    @property
    def theta(self) -> Tensor:
        """Parameters of the PSF it was made of, (P,) float64."""
        return parameters(self.psf)

    def spectrum(self, theta: Tensor) -> Tensor:
        """Transform the PSF integrated over camera pixels: (n, n) complex."""
        density = self.psf.samples(theta, self.axis_nm)
        spot: Tensor = torch.fft.fft2(density / density.sum())
        return spot * self.shift * torch.outer(self.pixel, self.pixel)

    def autocorrelation(self, spectrum: Tensor) -> Tensor:
        """Return the autocorrelation of a spectrum at FIELD_LAGS, 1 at lag 0.

        (40,), as psf_autocorrelation.autocorrelation, but differentiable.
        """
        whole: Tensor = torch.fft.ifft2(spectrum.abs() ** 2).real
        lag_y, lag_x = torch.as_tensor(FIELD_LAGS.T * SCALE)
        return whole[lag_y, lag_x] / whole[0, 0]

    def kernels(self, spectrum: Tensor, lags: tuple[tuple[int, int], ...]) -> Tensor:
        """Return the covariance that cells around a pixel cause, for each lag.

        Args:
            spectrum: (n, n) of the PSF.
            lags: (dy, dx) each.

        Returns:
            (lags, s*n, s*n), for the covariance of pixels p and p + lag and the cells around p.
        """
        spot = torch.fft.ifft2(spectrum * torch.outer(self.cell, self.cell)).real * SCALE**2
        seen = spot.flip(0, 1)  # a pixel on an emitter's right sees it on its left
        surplus = max(0, self.pixels // 2 - COVARIANCE_REACH_PX) * SCALE
        part = slice(surplus, len(seen) - surplus)
        shifted = [torch.roll(seen, (dy * SCALE, dx * SCALE), (0, 1)) for dy, dx in lags]
        return torch.stack([(seen * other)[part, part] for other in shifted])


class Covariance:
    """F of any kernel and any lags: density -> covariances between pixels.

    The density is on the padded SR grid of a field, kept as (s, s, H + 2 pad, W + 2 pad), a map for each phase.

    Args:
        kernels: (lags, s*n, s*n), n odd.
        lags: (dy, dx) each.
        height: H of the field.
        width: W of the field.
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
        """F^T 1 over the rows inside the field, differentiable in the kernels."""
        with torch.enable_grad():  # cached: the first call may be one without gradients
            return unseen_infinite(self.adjoint(inside_field(self._lags, torch.zeros(self.field))))

    def forward(self, m: Tensor) -> Tensor:
        """Predict covariances of (s, s, H + 2 pad, W + 2 pad): (lags, H, W)."""
        spread = (torch.fft.rfft2(m, self.shape) * self.spectrum.conj()).sum((1, 2))
        out: Tensor = torch.fft.irfft2(spread, self.shape)
        return out[..., : self.field[0], : self.field[1]]

    def adjoint(self, z: Tensor) -> Tensor:
        """Project covariances (lags, H, W) back: (s, s, H + 2 pad, W + 2 pad)."""
        spread = (torch.fft.rfft2(z, self.shape)[:, None, None] * self.spectrum).sum(0)
        out: Tensor = torch.fft.irfft2(spread, self.shape)
        return out[..., : self.padded[0], : self.padded[1]]


def learned_density(optics: Optics, spectrum: Tensor, statistics: WindowStatistics) -> Tensor:
    """Deconvolve from a flat start, with gradients in the last iterations.

    The gradient of the last iterations stands for that of all: it points the same way at a part of the cost.

    Args:
        optics: for the kernels.
        spectrum: (n, n) of the PSF, differentiable.
        statistics: of a window.

    Returns:
        (s, s, H + 2 pad, W + 2 pad).
    """
    operator = Covariance(optics.kernels(spectrum, LAGS), LAGS, *statistics.mean.shape)
    with torch.no_grad():
        m = density(operator, statistics, FREE_ITERATIONS)
    data, offset = shifted_data(statistics)
    for _ in range(SLOPED_ITERATIONS):
        m = multiplicative_step(operator, m, data, offset, floor=TINY)
    return m
