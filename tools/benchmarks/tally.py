"""What operations cost, counted from their shapes while they run: floating-point operations, and bytes moved.

Every operation reads its inputs and writes its output once, as kernels do that are run one by one; views cost nothing.
A matrix product of (m, k) and (k, n) is 2 m k n operations, a Fourier transform of N numbers 5 N log2 N (real: half of
it), anything else one a number that comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# Make room or move numbers, and compute nothing.
MOVES = ("empty", "copy", "clone", "cat", "stack", "index", "zeros", "ones", "fill", "zero", "arange", "new_", "detach")


class Tally(TorchDispatchMode):
    """Use as a context; flops and bytes count what ran in it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is not torch.ops.prim.device.default:
            with self:  # some operations come here before they are taken apart
                parts = function.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = function(*args, **kwargs)
        read = (args, {name: value for name, value in kwargs.items() if name != "out"})
        inputs = [leaf for leaf in tree_leaves(read) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if outputs and not _only_looks(function, inputs, outputs):
            name = function.overloadpacket.__name__
            self.flops += _flops(function.overloadpacket, name, args, outputs)
            self.bytes += 0 if name.startswith("empty") else sum(map(_bytes, inputs + outputs))
        return out

    def one_pass(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
        """What the function returns, counted as one kernel: its operations, but what is in between stays out of memory.

        Each input is read once. Each output is written once, also where it lies in an input.
        """
        before = self.bytes
        out = function(*inputs)
        self.bytes = before + sum(_bytes(z) for z in [*inputs, *tree_leaves(out)])
        return out


def _only_looks(function: Any, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    """Whether an operation makes a view: its output lies where an input does, and nothing was written."""
    where = {z.untyped_storage()._cdata for z in inputs}
    return not function._schema.is_mutable and all(z.untyped_storage()._cdata in where for z in outputs)


def _bytes(z: Tensor) -> int:
    """Of the numbers that are there: repeated ones are read once."""
    return math.prod(n for n, step in zip(z.shape, z.stride(), strict=True) if step) * z.element_size()


def _flops(packet: Any, name: str, args: Any, outputs: list[Tensor]) -> int:
    if packet in _PRODUCTS:
        return int(_PRODUCTS[packet](args, outputs[0]))
    if name.startswith("_fft"):
        numbers, axes = max(args[0].numel(), outputs[0].numel()), args[1]
        length = math.prod(max(args[0].shape[axis], outputs[0].shape[axis]) for axis in axes)
        share = 5.0 if name == "_fft_c2c" else 2.5
        return int(share * numbers * math.log2(max(length, 2)))
    if name.startswith(MOVES):
        return 0
    return sum(int(z.numel()) for z in outputs if z.is_floating_point() or z.is_complex())


def _mm(args: Any, out: Tensor) -> int:
    return 2 * int(args[0].shape[-1]) * int(out.numel())


def _addmm(args: Any, out: Tensor) -> int:
    return (2 * int(args[1].shape[-1]) + 1) * out.numel()


def _convolution(args: Any, out: Tensor) -> int:
    return 2 * int(args[1][0].numel()) * out.numel()


_PRODUCTS: dict[Any, Callable[[Any, Tensor], int]] = {
    aten.mm: _mm,
    aten.bmm: _mm,
    aten.addmm: _addmm,
    aten.baddbmm: _addmm,
    aten.convolution: _convolution,
}
