"""The physics as linear operators: SR cells to camera pixels, and its square for covariances.

Both are sums of separable terms, out_l = sum Y x X^T, whose matrices are Toeplitz bands: every camera pixel
sees the same neighbourhood of cells. On long axes only the band that is not zero is multiplied, block by block, so
the cost grows with the area and there is no seam: the result is the one of the whole matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.psf.models import Psf, pixel_kernels, reach_px

BYTES_PER_NUMBER = 4  # float32, which the networks compute in
PAD_PX = 3
BLOCK_PX = 32  # measured: the fastest on CPU for long axes; one dense block wins on short ones
DENSE_PX = 96
SEEN = 5e-3
TERMS_LEFT_OUT = 2e-3  # of the root mean square of a lag's kernel
LAGS = ((0, 1), (1, -1), (1, 0), (1, 1))  # lag (0, 0) is left out: it carries the shot noise


@dataclass(frozen=True)
class Grid:
    """A camera field and the SR cells behind it, padded all round: emitters outside the field shine into it.

    height, width: camera pixels. cells: (rows, columns) of the padded SR map.
    """

    height: int
    width: int
    scale: int
    pixel_nm: float
    pad_px: int = PAD_PX

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the padded map."""
        return (self.height + 2 * self.pad_px) * self.scale, (self.width + 2 * self.pad_px) * self.scale

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
        """(..., rows, columns) of the padded map -> (..., scale*H, scale*W) of the field."""
        edge = self.pad_px * self.scale
        return padded[..., edge : edge + self.height * self.scale, edge : edge + self.width * self.scale]


Blocks = list[tuple[slice, Tensor]]  # for consecutive outputs: which inputs they see, and (G, out, in)


class Band:
    """Toeplitz band matrices, one for each of G terms, from one axis to another: of each, the part that is not zero.

    They lie in memory as they are multiplied; transposed, a product would take twice as long on a CPU.
    blocks: into how many the outputs are cut. entries: numbers that are multiplied for one term.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = [(part, self._laid_out(matrix).contiguous()) for part, matrix in blocks]
        self.terms, self.blocks = len(blocks[0][1]), len(blocks)
        self.entries = sum(matrix[0].numel() for _, matrix in blocks)

    def _laid_out(self, matrix: Tensor) -> Tensor:
        raise NotImplementedError


class Columns(Band):
    """Along the last axis, each map by its own matrix."""

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return (matrix if len(matrix) > 1 else matrix[0]).mT

    def __call__(self, x: Tensor) -> Tensor:
        """(..., G, rows, in) -> (..., G, rows, out); for one term (..., rows, in) -> (..., rows, out)."""
        return _joined([x[..., part] @ matrix for part, matrix in self._blocks], -1)


class Rows(Band):
    """Along the last axis but one, a map by every matrix: one product with all of them."""

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return matrix.flatten(0, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., in, columns) -> (..., G, out, columns)."""
        maps = self.terms, -1
        return _joined([(matrix @ x[..., part, :]).unflatten(-2, maps) for part, matrix in self._blocks], -2)


class SummedRows(Band):
    """Along the last axis but one, each map by its own matrix, and their sum: one product."""

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return matrix.transpose(0, 1).flatten(1)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., G, in, columns) -> (..., out, columns)."""
        return _joined([matrix @ x[..., part, :].flatten(-3, -2) for part, matrix in self._blocks], -2)


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _blocks(kernels: Array, pixels: int, scale: int, pad_px: int, like: Tensor) -> tuple[Blocks, Blocks]:
    """One axis both ways, from cells down to pixels and back up.

    kernels: (G, (2*reach + 1)*scale) float64, what a pixel sees of the cells around it, for each of G terms.
    """
    taps, cells = kernels.shape[1], (pixels + 2 * pad_px) * scale
    first = (pad_px - (taps // scale - 1) // 2) * scale  # cell that pixel 0's kernel starts at

    def matrix(rows: range, columns: range) -> Tensor:
        tap = np.arange(columns.start, columns.stop) - np.arange(rows.start, rows.stop)[:, None] * scale - first
        values = np.where((tap >= 0) & (tap < taps), kernels[:, tap.clip(0, taps - 1)], 0.0)
        return torch.as_tensor(values).to(like.dtype).to(like.device)

    count = 1 if pixels <= DENSE_PX else round(pixels / BLOCK_PX)
    down, up = [], []
    for seeing in _pieces(pixels, count):
        start, stop = seeing.start * scale + first, (seeing.stop - 1) * scale + first + taps
        seen = range(max(start, 0), min(stop, cells))
        down.append((slice(seen.start, seen.stop), matrix(seeing, seen)))
    for seen in _pieces(cells, count):
        earliest, latest = (seen.start - first - taps) // scale + 1, (seen.stop - 1 - first) // scale
        seeing = range(max(earliest, 0), min(latest + 1, pixels))
        up.append((slice(seeing.start, seeing.stop), matrix(seeing, seen).mT))
    return down, up


def _pieces(length: int, count: int) -> list[range]:
    size = -(-length // count)
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


class Separable:
    """out_l = sum_p Y_u x X_p^T over the pairs p of output l, for x on the padded SR grid, with its exact adjoint.

    kernels_y: (U, taps). kernels_x: (P, taps). term, output: (P,), the u and the l of each pair: outputs that share
    what they see along y share its cost, most of the whole. like: a tensor of the device and dtype to compute in.
    """

    def __init__(
        self, kernels_y: Array, kernels_x: Array, term: Sequence[int], output: Sequence[int], grid: Grid, like: Tensor
    ) -> None:
        self.single = len(kernels_x) == 1
        down, up = _blocks(kernels_y, grid.height, grid.scale, grid.pad_px, like)
        self.y_down, self.y_up = Rows(down), SummedRows(up)
        down, up = _blocks(kernels_x, grid.width, grid.scale, grid.pad_px, like)
        self.x_down, self.x_up = Columns(down), Columns(up)
        self._term, self._output = _Links(term, like), _Links(output, like)
        self.terms, self.pairs, self._grid = len(kernels_y), len(kernels_x), grid

    @property
    def bytes(self) -> int:
        """Bytes of the matrices in float32."""
        along_y = self.terms * (self.y_down.entries + self.y_up.entries)
        return (along_y + self.pairs * (self.x_down.entries + self.x_up.entries)) * BYTES_PER_NUMBER

    @property
    def adjoint_bytes(self) -> int:
        """Bytes that an adjoint makes: each pair spread along x, their sums by term; the map, in blocks and in one."""
        pieces = 1 if self.y_up.blocks == 1 else 2
        spread = self.pairs + (self.terms if self.terms < self.pairs else 0)
        rows = spread * self._grid.height * self._grid.cells[1] * BYTES_PER_NUMBER
        return pieces * self._grid.map_bytes + rows

    def forward(self, x: Tensor) -> Tensor:
        """(..., rows, columns) cells -> (..., L, H, W); no L axis where there is one pair."""
        seen = self.y_down(x)
        if self.single:
            return self.x_down(seen.squeeze(-3))
        return self._output.added_up(self.x_down(self._term.of(seen)))

    def adjoint(self, z: Tensor) -> Tensor:
        """(..., L, H, W) -> (..., rows, columns) cells."""
        if self.single:
            return self.y_up(self.x_up(z).unsqueeze(-3))
        return self.y_up(self._term.added_up(self.x_up(self._output.of(z))))


class _Links:
    """Which of K maps each of P pairs belongs to. numbers: (P,); where they are 0, 1, ..., P - 1 it is its own."""

    def __init__(self, numbers: Sequence[int], like: Tensor) -> None:
        self._one_each = list(numbers) == list(range(len(numbers)))
        self._numbers = torch.as_tensor(numbers, device=like.device)
        maps = torch.arange(max(numbers) + 1, device=like.device)
        self._shares = (maps[:, None] == self._numbers).to(like.dtype)

    def of(self, maps: Tensor) -> Tensor:
        """(..., K, H, W) -> (..., P, H, W): each pair's own."""
        return maps if self._one_each else maps.index_select(-3, self._numbers)

    def added_up(self, pairs: Tensor) -> Tensor:
        """(..., P, H, W) -> (..., K, H, W): the sum over each map's pairs."""
        return pairs if self._one_each else (self._shares @ pairs.flatten(-2)).unflatten(-1, pairs.shape[-2:])


class Imaging:
    """A: photons in SR cells -> expected photons on camera pixels, without background.

    norm: A^T 1, the share of each cell's light that the field catches, (rows, columns); infinite where next to none.
    """

    def __init__(self, psf: Psf, grid: Grid, like: Tensor) -> None:
        modes, reach = psf.modes(), reach_px(psf, grid.pixel_nm)
        along_y, along_x = _along_axes([pixel_kernels(m, grid.scale, grid.pixel_nm, reach) for m in modes])
        weights = np.array([m.weight for m in modes])[:, None]
        each = range(len(modes))
        self.grid, self.reach_px = grid, reach
        self.separable = Separable(weights * along_y, along_x, each, [0] * len(modes), grid, like)
        ones = torch.ones((grid.height, grid.width), dtype=like.dtype, device=like.device)
        self.norm = unseen_infinite(self.adjoint(ones))

    def forward(self, x: Tensor) -> Tensor:
        """(..., rows, columns) photons per SR cell -> (..., H, W) photons."""
        out = self.separable.forward(x)
        return out if self.separable.single else out.squeeze(-3)

    def adjoint(self, z: Tensor) -> Tensor:
        """(..., H, W) -> (..., rows, columns)."""
        return self.separable.adjoint(z if self.separable.single else z[..., None, :, :])


def unseen_infinite(norm: Tensor) -> Tensor:
    """Column sums of an operator, infinite for the outermost padding: divided by it, cells nobody sees stay empty.

    The truncated modes of a PSF are slightly negative far out; a quotient of two such numbers can be anything.
    """
    return torch.where(norm > SEEN * norm.max(), norm, torch.inf)


class LaggedCovariance:
    """F: density of fluctuating emitters -> covariance between pixels p and p + lag, for every lag of LAGS.

    The kernel of pixel p + d is that of p shifted by d pixels, so each row of F is a product of two of A's.
    Rows whose p + d lies outside the field mean nothing: mask them (statistics.inside).
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
        self.separable = Separable(np.array(kernels_y), np.array(kernels_x), term, output, grid, like)

    def forward(self, m: Tensor) -> Tensor:
        """(rows, columns) -> (lags, H, W)."""
        return self.separable.forward(m)

    def adjoint(self, z: Tensor) -> Tensor:
        """(lags, H, W) -> (rows, columns)."""
        return self.separable.adjoint(z)


def _along_axes(kernels: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """(R, taps) along y and along x."""
    return np.stack([y for y, _ in kernels]), np.stack([x for _, x in kernels])


def _fewer_terms(kernels_y: Array, kernels_x: Array) -> tuple[Array, Array]:
    """The same sums of products in as few terms as TERMS_LEFT_OUT allows.

    kernels_y: (R, taps), shared by all lags. kernels_x: (lags, R, taps). The products of a PSF's modes are far from
    independent: of 16 for four modes about five are needed.
    """
    lags, count, taps = kernels_x.shape
    # with y = QR factors of both sides, the sum's singular values are those of a small matrix
    basis_y, inner_y = np.linalg.qr(kernels_y.T)
    basis_x, inner_x = np.linalg.qr(kernels_x.transpose(0, 2, 1).reshape(lags * taps, count))
    left, size, right = np.linalg.svd(inner_y @ inner_x.T)
    left_out = np.sqrt(np.clip(1 - np.cumsum(size**2) / (size**2).sum(), 0, None))
    needed = 1 + int((left_out > TERMS_LEFT_OUT).sum())
    if needed >= count:
        return kernels_y, kernels_x
    terms_y = (basis_y @ left)[:, :needed] * size[:needed]
    terms_x = (basis_x @ right.T)[:, :needed].reshape(lags, taps, needed)
    return terms_y.T, terms_x.transpose(0, 2, 1)


def _shifted(kernel: Array, cells: int) -> Array:
    """The kernel of a pixel `cells` cells further on."""
    out = np.zeros_like(kernel)
    if cells >= 0:
        out[cells:] = kernel[: len(kernel) - cells]
    else:
        out[:cells] = kernel[-cells:]
    return out
