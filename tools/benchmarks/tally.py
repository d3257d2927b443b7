"""Counter of floating-point operations and bytes moved, while work runs.

Operations are those of torch's own counter: matrix products, convolutions and, added here, Fourier transforms (5 N log2
N for N numbers, half of it where one side is real). Bytes: every function reads its inputs and writes its output once,
as kernels do that are run one by one; views cost nothing. Bytes of a gradient are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from selfstorm.compute.acceleration import one_by_one


class Tally:
    """Context that counts the operations and bytes of what runs in it.

    Operations run one by one.
    """

    def __init__(self) -> None:
        self._products = FlopCounterMode(display=False, custom_mapping=_transforms())
        self._traffic = _Traffic()
        self._stack = ExitStack()

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return int(self._products.get_total_flops())

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self._traffic.bytes

    def __enter__(self) -> Tally:
        for context in (self._products, self._traffic, one_by_one(self._run)):
            self._stack.enter_context(context)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def _run(
        self, function: Callable[..., Any], inputs: tuple[Tensor, ...], buffers: dict[str, Tensor], fused: bool
    ) -> Any:
        """Run a function; one that would be one kernel is counted as one.

        Each of its inputs is read and each output written once.
        """
        before = self.bytes
        if not fused:
            return function(*inputs, **buffers)
        out = function(*inputs)
        self._traffic.bytes = before + sum(map(_bytes, [*inputs, *_tensors(out)]))
        return out


class _Traffic(TorchFunctionMode):
    """Counter of the bytes of every function that is called on tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        name = function.__name__
        inputs = _tensors((args, {key: value for key, value in kwargs.items() if key != "out"}))
        if name == "__setitem__":  # the part that is written is as large as what is put there
            self.bytes += 2 * sum(map(_bytes, _tensors(args[2])))
        elif not name.startswith(("empty", "new_empty")):
            outputs = _tensors(out)
            writes = "out" in kwargs or (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")
            if outputs and (writes or not _views(inputs, outputs)):
                self.bytes += sum(map(_bytes, inputs + outputs))
        return out


def _tensors(value: Any) -> list[Tensor]:
    """Collect all tensors of nested sequences and mappings."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [z for part in value for z in _tensors(part)] if isinstance(value, list | tuple) else []


def _views(inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    """Return True if every output shares memory with an input."""
    where = {z.untyped_storage().data_ptr() for z in inputs}
    return all(z.untyped_storage().data_ptr() in where for z in outputs)


def _bytes(z: Tensor) -> int:
    """Count the bytes of the numbers stored: repeated ones are read once."""
    return math.prod(n for n, step in zip(z.shape, z.stride(), strict=True) if step) * z.element_size()


def _transforms() -> dict[Any, Callable[..., int]]:
    """Count operations of Fourier transforms by shapes of input and output."""

    def formula(share: float) -> Callable[..., int]:
        def flops(shape: Sequence[int], axes: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
            numbers = max(math.prod(shape), math.prod(out_shape))
            length = math.prod(max(shape[axis], out_shape[axis]) for axis in axes)
            return int(share * numbers * math.log2(max(length, 2)))

        return flops

    aten = torch.ops.aten
    return {aten._fft_c2c: formula(5.0), aten._fft_r2c: formula(2.5), aten._fft_c2r: formula(2.5)}
