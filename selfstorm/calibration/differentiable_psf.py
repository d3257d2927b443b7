"""The density network with its optics as a tensor, so that a misfit has a gradient in the PSF's parameters.

For small training problems: the PSF is sampled on the SR grid of a crop, integrated over pixel and cell by its
spectrum, and applied by FFT to each phase of the cells, whatever its shape. Only its own parameters move, those that
do so smoothly; what is always positive moves as a logarithm.
"""

from __future__ import annotations

from functools import cached_property

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from selfstorm.calibration.field_moments import FIELD_LAGS
from selfstorm.physics.multiplicative import multiplicative_step
from selfstorm.physics.operators import LAGS, PAD_PX, Lags, inside_field, unseen_infinite
from selfstorm.psf.models import Psf, Tunable, reach_px, tunable
from selfstorm.stages.covariances import WindowStatistics
from selfstorm.stages.density import density, shifted_data

SCALE = 3  # cells along a pixel of a training problem
MARGIN_PX = 2  # beyond the PSF's reach: so that lags do not meet round the period, and for a PSF that grows
COVARIANCE_REACH_PX = 6  # products of two PSFs are below 1e-4 of their height beyond it
FREE_ITERATIONS, SLOPED_ITERATIONS = 20, 6  # measured: 30 and 10 find the same optics in half as much time again
TINY = 1e-12


def parameters(psf: Tunable) -> Tensor:
    """(P,) float64."""
    return torch.tensor(psf.parameters(), dtype=torch.float64)


class Optics:
    """A tunable PSF on the SR grid around a camera pixel.

    psf: where the parameters start; `theta` below are tensors (P,), float64, of its kind's parameters. theta: its own.
    """

    def __init__(self, psf: Psf, pixel_nm: float) -> None:
        self.psf = tunable(psf)
        self.pixels = 2 * (reach_px(psf, pixel_nm) + MARGIN_PX) + 1
        cells, pitch_nm = self.pixels * SCALE, pixel_nm / SCALE
        self.axis_nm = (torch.arange(cells, dtype=torch.float64) + 0.5 - cells / 2) * pitch_nm
        frequency = torch.fft.fftfreq(cells, pitch_nm, dtype=torch.float64)
        self.pixel, self.cell = torch.sinc(frequency * pixel_nm), torch.sinc(frequency * pitch_nm)

    @property
    def theta(self) -> Tensor:
        """(P,) float64, the parameters of the PSF it was made of."""
        return parameters(self.psf)

    def spectrum(self, theta: Tensor) -> Tensor:
        """(n, n) complex Fourier transform of the PSF integrated over camera pixels."""
        density = self.psf.samples(theta, self.axis_nm)
        spot: Tensor = torch.fft.fft2(density / density.sum())
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
