"""Imaging as linear operators: SR cells to pixels, and to covariances.

Both are sums of separable terms, out_l = sum Y x X^T, whose matrices are Toeplitz bands (band_matrices).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.batching import BYTES_PER_NUMBER
from selfstorm.frames import Array
from selfstorm.physics.band_matrices import Axis, Separable
from selfstorm.psf.models import Psf, pixel_kernels, reach_px

PAD_PX = 3
MIN_CAUGHT = 5e-3  # of the largest column sum
MAX_TERMS_ERROR = 2e-3  # of the root mean square of a lag's kernel
LAGS = ((0, 1), (1, -1), (1, 0), (1, 1))  # lag (0, 0) is left out: it carries the shot noise


class Operator(Protocol):
    """A linear map A of nonnegative numbers, and its exact adjoint A^T.

    An example is the map from SR cells to camera pixels.
    """

    @property
    def norm(self) -> Tensor:
        """A^T 1, the column sums; infinite for inputs that are hardly seen."""
        ...

    def forward(self, x: Tensor) -> Tensor:
        """Return A x."""
        ...

    def adjoint(self, z: Tensor) -> Tensor:
        """Return A^T z."""
        ...


@dataclass(frozen=True)
class Grid:
    """A camera field and the SR cells behind it.

    The cells are padded all round: emitters outside the field shine into it.

    Attributes:
        height: H, camera pixels.
        width: W, camera pixels.
        scale: SR cells per camera pixel.
        pixel_nm: camera pixel.
        pad_px: camera pixels of padding on each side.
    """

    height: int
    width: int
    scale: int
    pixel_nm: float
    pad_px: int = PAD_PX

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the padded map."""
        along_y, along_x = self.axes
        return along_y.cells, along_x.cells

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The axes along y and along x."""
        return Axis(self.height, self.scale, self.pad_px), Axis(self.width, self.scale, self.pad_px)

    @property
    def frame_bytes(self) -> int:
        """Bytes of a float32 camera frame."""
        return self.height * self.width * BYTES_PER_NUMBER

    @property
    def map_bytes(self) -> int:
        """Bytes of a float32 map of the padded cells."""
        rows, columns = self.cells
        return rows * columns * BYTES_PER_NUMBER

    def crop(self, padded: Tensor) -> Tensor:
        """Cut the field out of a padded map.

        Args:
            padded: (..., rows, columns).

        Returns:
            (..., scale*H, scale*W).
        """
        edge = self.pad_px * self.scale
        return padded[..., edge : edge + self.height * self.scale, edge : edge + self.width * self.scale]


class Imaging:
    """A: photons in SR cells -> expected photons on camera pixels.

    Without background.

    Attributes:
        norm: A^T 1, the share of each cell's light that falls on the field, (rows, columns); infinite if next to none.
    """

    def __init__(self, psf: Psf, grid: Grid, like: Tensor) -> None:
        modes, reach = psf.modes(), reach_px(psf, grid.pixel_nm)
        along_y, along_x = _along_axes([pixel_kernels(m, grid.scale, grid.pixel_nm, reach) for m in modes])
        weights = np.array([m.weight for m in modes])[:, None]
        each = range(len(modes))
        self.grid, self.reach_px = grid, reach
        self.separable = Separable(weights * along_y, along_x, each, [0] * len(modes), grid.axes, like)
        ones = torch.ones((grid.height, grid.width), dtype=like.dtype, device=like.device)
        self.norm = unseen_infinite(self.adjoint(ones))

    def forward(self, x: Tensor) -> Tensor:
        """Image photons in SR cells (..., rows, columns): (..., H, W) photons."""
        out = self.separable.forward(x)
        return out if self.separable.single else out.squeeze(-3)

    def adjoint(self, z: Tensor) -> Tensor:
        """Project the camera (..., H, W) back: (..., rows, columns)."""
        return self.separable.adjoint(z if self.separable.single else z[..., None, :, :])


def unseen_infinite(norm: Tensor) -> Tensor:
    """Return the column sums of an operator, infinite for unseen cells.

    Divided by infinity, the outermost padding stays empty. The truncated modes of a PSF are slightly negative far out;
    a quotient of two such numbers can be anything.
    """
    return torch.where(norm > MIN_CAUGHT * norm.max(), norm, torch.inf)


Lags = tuple[tuple[int, int], ...]


def inside_field(lags: Lags, like: Tensor) -> Tensor:
    """Return a mask (lags, H, W): 1 if p and p + lag are both in the field.

    Args:
        lags: (dy, dx), dy >= 0.
        like: (H, W), of the device and dtype to return.
    """
    height, width = like.shape
    inside = like.new_zeros((len(lags), height, width))
    for of_lag, (dy, dx) in zip(inside, lags, strict=True):
        of_lag[: height - dy, max(0, -dx) : width - max(0, dx)] = 1
    return inside


class LaggedCovariance:
    """F: density of fluctuating emitters -> covariance of neighbouring pixels.

    The pixels are p and p + lag, for every lag of LAGS. The kernel of pixel p + d is that of p shifted by d pixels, so
    each row of F is a product of two of A's. Rows whose p + d lies outside the field have no meaning: mask them
    (inside_field).

    Attributes:
        norm: F^T 1 over the rows inside the field, (rows, columns); infinite if next to nothing.
    """

    def __init__(self, psf: Psf, grid: Grid, like: Tensor) -> None:
        modes, reach = psf.modes(), reach_px(psf, grid.pixel_nm)
        along_y, along_x = _along_axes([pixel_kernels(m, grid.scale, grid.pixel_nm, reach) for m in modes])
        weights = [m.weight for m in modes]
        pairs = [(a, b) for a in range(len(modes)) for b in range(len(modes))]
        kernels_y: list[Array] = []
        kernels_x: list[Array] = []
        term: list[int] = []
        output: list[int] = []
        for dy in sorted({dy for dy, _ in LAGS}):
            lags = [(number, dx) for number, (y, dx) in enumerate(LAGS) if y == dy]
            seen_y = [weights[a] * weights[b] * along_y[a] * _shifted(along_y[b], dy * grid.scale) for a, b in pairs]
            seen_x = [[along_x[a] * _shifted(along_x[b], dx * grid.scale) for a, b in pairs] for _, dx in lags]
            terms_y, terms_x = _fewer_terms(np.array(seen_y), np.array(seen_x))
            for (number, _), of_lag in zip(lags, terms_x, strict=True):
                term += range(len(kernels_y), len(kernels_y) + len(terms_y))
                output += [number] * len(terms_y)
                kernels_x += list(of_lag)
            kernels_y += list(terms_y)
        self.grid = grid
        self.separable = Separable(np.array(kernels_y), np.array(kernels_x), term, output, grid.axes, like)
        inside = inside_field(LAGS, like.new_zeros((grid.height, grid.width)))
        self.norm = unseen_infinite(self.adjoint(inside))

    def forward(self, m: Tensor) -> Tensor:
        """Predict covariances of a density (rows, columns): (lags, H, W)."""
        return self.separable.forward(m)

    def adjoint(self, z: Tensor) -> Tensor:
        """Project covariances (lags, H, W) back: (rows, columns)."""
        return self.separable.adjoint(z)


def _along_axes(kernels: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Stack the kernels along y and along x, each (R, taps)."""
    return np.stack([y for y, _ in kernels]), np.stack([x for _, x in kernels])


def _fewer_terms(kernels_y: Array, kernels_x: Array) -> tuple[Array, Array]:
    """Write the same sums of products in fewer terms, up to MAX_TERMS_ERROR.

    The products of a PSF's modes are far from independent: of 16 for four modes about five are needed.

    Args:
        kernels_y: (R, taps), shared by all lags.
        kernels_x: (lags, R, taps).
    """
    lags, count, taps = kernels_x.shape
    # sum_r y_r x_r^T = Q_y (R_y R_x^T) Q_x^T: its singular values are those of the small matrix in the middle
    basis_y, inner_y = np.linalg.qr(kernels_y.T)
    basis_x, inner_x = np.linalg.qr(kernels_x.transpose(0, 2, 1).reshape(lags * taps, count))
    left, size, right = np.linalg.svd(inner_y @ inner_x.T)
    left_out = np.sqrt(np.clip(1 - np.cumsum(size**2) / (size**2).sum(), 0, None))
    needed = 1 + int((left_out > MAX_TERMS_ERROR).sum())
    if needed >= count:
        return kernels_y, kernels_x
    terms_y = (basis_y @ left)[:, :needed] * size[:needed]
    terms_x = (basis_x @ right.T)[:, :needed].reshape(lags, taps, needed)
    return terms_y.T, terms_x.transpose(0, 2, 1)


def _shifted(kernel: Array, cells: int) -> Array:
    """Return the kernel of a pixel `cells` cells further on."""
    out = np.zeros_like(kernel)
    if cells >= 0:
        out[cells:] = kernel[: len(kernel) - cells]
    else:
        out[:cells] = kernel[-cells:]
    return out
