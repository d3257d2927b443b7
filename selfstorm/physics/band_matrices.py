"""Sums of separable terms along both axes of a field, as band matrices.

Every camera pixel sees the same neighbourhood of cells, so that along an axis the matrix from cells to pixels is a
Toeplitz band. On long axes only the band that is not zero is multiplied, block by block: the cost grows with the area,
and there is no seam, since the result equals that of the whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.acceleration import in_batches
from selfstorm.compute.batching import BYTES_PER_NUMBER
from selfstorm.frames import Array

BLOCK_PX = 32  # measured: the fastest on CPU for long axes; one dense block wins on short ones
DENSE_PX = 96


@dataclass(frozen=True, slots=True)
class Axis:
    """Camera pixels along one axis, and the SR cells behind them.

    Attributes:
        pixels: of the field.
        scale: cells per pixel.
        pad_px: pixels whose cells are added at each end.
    """

    pixels: int
    scale: int
    pad_px: int

    @property
    def cells(self) -> int:
        """SR cells, padding included."""
        return (self.pixels + 2 * self.pad_px) * self.scale


Blocks = list[tuple[slice, Tensor]]  # for consecutive outputs: which inputs they see, and (G, out, in)


class Band:
    """G Toeplitz band matrices from one axis to another.

    Only the band is kept, in the order in memory in which it is multiplied: transposed, a product would take twice as
    long on a CPU.

    Attributes:
        terms: G.
        blocks: pieces that the outputs are cut into.
        entries: numbers that are multiplied for one term.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = [(part, self._laid_out(matrix).contiguous()) for part, matrix in blocks]
        self.terms, self.blocks = len(blocks[0][1]), len(blocks)
        self.entries = sum(matrix[0].numel() for _, matrix in blocks)
        self._batches = _batches(self._blocks)

    def _laid_out(self, matrix: Tensor) -> Tensor:
        raise NotImplementedError

    def _products(self, x: Tensor, axis: int, product: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        """Return the product of every block with the inputs that it sees.

        A CPU does one after the other. For a graphics card each is a launch, so blocks that are equal (all but those at
        the edges) are one product on a view of the inputs in which the blocks are an axis of their own.

        Args:
            x: inputs, along an axis.
            axis: -1 or -2.
            product: of (inputs, matrix), which broadcasts over leading axes.
        """
        if not in_batches(x.device):
            return [
                product(x.narrow(axis, part.start, part.stop - part.start), matrix) for part, matrix in self._blocks
            ]
        products = []
        for start, length, step, count, matrix in self._batches:
            if count == 1:
                products.append(product(x.narrow(axis, start, length), matrix))
                continue
            # (blocks, ..., the axis cut to what one block sees)
            seen = x.narrow(axis, start, (count - 1) * step + length).unfold(axis, length, step)
            seen = seen.movedim(axis - 1, 0)
            products += product(seen if axis == -1 else seen.mT, matrix).unbind(0)
        return products


class Columns(Band):
    """Along the last axis, each map by its own matrix."""

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return (matrix if len(matrix) > 1 else matrix[0]).mT

    def __call__(self, x: Tensor) -> Tensor:
        """Apply to (..., G, rows, in): (..., G, rows, out).

        Without the axis G if there is one term.
        """
        return _joined(self._products(x, -1, lambda seen, matrix: seen @ matrix), -1)


class Rows(Band):
    """All matrices on one map, along the last axis but one: a single product."""

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return matrix.flatten(0, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply to (..., in, columns): (..., G, out, columns)."""
        maps = self.terms, -1
        products = self._products(x, -2, lambda seen, matrix: (matrix @ seen).unflatten(-2, maps))
        return _joined(products, -2)


class SummedRows(Band):
    """Each matrix on its own map, summed, along the last axis but one.

    A single product does both.
    """

    def _laid_out(self, matrix: Tensor) -> Tensor:
        return matrix.transpose(0, 1).flatten(1)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply to (..., G, in, columns): (..., out, columns)."""
        return _joined(self._products(x, -2, lambda seen, matrix: matrix @ seen.flatten(-3, -2)), -2)


Batch = tuple[int, int, int, int, Tensor]  # first input, inputs of a block, step from block to block, blocks, matrix


def _batches(blocks: list[tuple[slice, Tensor]]) -> list[Batch]:
    """Gather consecutive blocks that are the same matrix an even step apart."""
    batches: list[Batch] = []
    for part, matrix in blocks:
        if batches:
            start, length, step, count, last = batches[-1]
            apart = part.start - (start + (count - 1) * step)
            # A matrix without values (of torch's meta device) differs by nothing but its shape.
            alike = matrix.shape == last.shape and (matrix.is_meta or torch.equal(matrix, last))
            if alike and part.stop - part.start == length and (count == 1 or apart == step):
                batches[-1] = start, length, apart, count + 1, last
                continue
        batches.append((part.start, part.stop - part.start, 0, 1, matrix))
    return batches


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _blocks(kernels: Array, axis: Axis, like: Tensor) -> tuple[Blocks, Blocks]:
    """Cut the matrices of one axis into blocks, for both directions.

    Args:
        kernels: (G, (2*reach + 1)*scale) float64, what a pixel sees of the cells around it, for each of G terms.
        axis: pixels and cells.
        like: a tensor of the device and dtype to return.

    Returns:
        From cells down to pixels, and from pixels back up to cells.
    """
    pixels, scale, taps, cells = axis.pixels, axis.scale, kernels.shape[1], axis.cells
    first = (axis.pad_px - (taps // scale - 1) // 2) * scale  # cell that pixel 0's kernel starts at

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
    for seen in _pieces(cells, count, scale):  # of whole pixels, so that all blocks but those at the edges are equal
        earliest, latest = (seen.start - first - taps) // scale + 1, (seen.stop - 1 - first) // scale
        seeing = range(max(earliest, 0), min(latest + 1, pixels))
        up.append((slice(seeing.start, seeing.stop), matrix(seeing, seen).mT))
    return down, up


def _pieces(length: int, count: int, unit: int = 1) -> list[range]:
    size = -(-length // (count * unit)) * unit
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


class Separable:
    """out_l = sum_p Y_u x X_p^T over the pairs p of output l, and its adjoint.

    x is on the padded SR grid. The adjoint is exact.

    Args:
        kernels_y: (U, taps).
        kernels_x: (P, taps).
        term: (P,), the u of each pair: outputs that share a term along y share its cost, most of the whole.
        output: (P,), the l of each pair.
        axes: along y and along x.
        like: a tensor of the device and dtype to compute in.
    """

    def __init__(
        self,
        kernels_y: Array,
        kernels_x: Array,
        term: Sequence[int],
        output: Sequence[int],
        axes: tuple[Axis, Axis],
        like: Tensor,
    ) -> None:
        self.single, self._axes = len(kernels_x) == 1, axes
        down, up = _blocks(kernels_y, axes[0], like)
        self.y_down, self.y_up = Rows(down), SummedRows(up)
        down, up = _blocks(kernels_x, axes[1], like)
        self.x_down, self.x_up = Columns(down), Columns(up)
        self._term, self._output = _Links(term, like), _Links(output, like)
        self.terms, self.pairs = len(kernels_y), len(kernels_x)

    @property
    def bytes(self) -> int:
        """Bytes of the matrices in float32."""
        along_y = self.terms * (self.y_down.entries + self.y_up.entries)
        return (along_y + self.pairs * (self.x_down.entries + self.x_up.entries)) * BYTES_PER_NUMBER

    @property
    def adjoint_bytes(self) -> int:
        """Bytes that an adjoint allocates.

        Each pair spread along x, their sums by term, and the map, in blocks and joined.
        """
        pieces = 1 if self.y_up.blocks == 1 else 2
        spread = self.pairs + (self.terms if self.terms < self.pairs else 0)
        along_y, along_x = self._axes
        return (pieces * along_y.cells + spread * along_y.pixels) * along_x.cells * BYTES_PER_NUMBER

    def forward(self, x: Tensor) -> Tensor:
        """Apply to cells (..., rows, columns): (..., L, H, W).

        Without the axis L if there is one pair.
        """
        seen = self.y_down(x)
        if self.single:
            return self.x_down(seen.squeeze(-3))
        return self._output.added_up(self.x_down(self._term.of(seen)))

    def adjoint(self, z: Tensor) -> Tensor:
        """Apply the transpose to (..., L, H, W): cells (..., rows, columns)."""
        if self.single:
            return self.y_up(self.x_up(z).unsqueeze(-3))
        return self.y_up(self._term.added_up(self.x_up(self._output.of(z))))


class _Links:
    """Assignment of P pairs to K maps.

    Args:
        numbers: (P,) the map of each pair; 0, 1, ..., P - 1 needs no copy.
        like: a tensor of the device and dtype to compute in.
    """

    def __init__(self, numbers: Sequence[int], like: Tensor) -> None:
        self._one_each = list(numbers) == list(range(len(numbers)))
        self._numbers = torch.as_tensor(numbers, device=like.device)
        maps = torch.arange(max(numbers) + 1, device=like.device)
        self._shares = (maps[:, None] == self._numbers).to(like.dtype)

    def of(self, maps: Tensor) -> Tensor:
        """Give each pair its map: (..., K, H, W) -> (..., P, H, W)."""
        return maps if self._one_each else maps.index_select(-3, self._numbers)

    def added_up(self, pairs: Tensor) -> Tensor:
        """Sum over each map's pairs: (..., P, H, W) -> (..., K, H, W)."""
        return pairs if self._one_each else (self._shares @ pairs.flatten(-2)).unflatten(-1, pairs.shape[-2:])
