"""Counter of operations, bytes moved, launches and waits, while work runs.

Operations are those of torch's own counter: matrix products, convolutions and, added here, Fourier transforms (5 N log2
N for N numbers, half of it where one side is real). Bytes: every operation reads its inputs and writes its output once,
as kernels do that are run one by one; views cost nothing. A launch is an operation that computes, a wait is one whose
result the host needs before it goes on: a number, a count of emitters, a picture. Both are those of a graphics card,
and are counted on any device, since the operations are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from selfstorm.compute.acceleration import one_by_one
from selfstorm.compute.cuda_graphs import fits_graph

# Operations that return once the device has told the host a number or a size.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive"}
WAITING |= {"bincount", "repeat_interleave"}
TO_HOST = {"cpu", "numpy", "tolist", "__array__"}  # of a tensor; on a CPU these dispatch nothing
WRITE_ONLY = {"copy_", "fill_", "zero_"}  # they do not read what they overwrite
PICKING = {"index", "index_select", "gather"}  # they read no more than they write
SUMS_AT_PLACES, MORE_OF_A_SUM = "scatter_add_", 3  # a card adds in whole units (compute/scatter.py): 4 launches
AS_ONE = {"interpolate"}  # one kernel of a card, which a counter would see taken apart
MIXED = {"__getitem__", "__setitem__", "copy_"}
ON_HOST = "_tally_on_host"  # mark of a tensor that was fetched
NO_WORK = re.compile(r"(new_)?empty|detach|alias|lift_fresh|resize_|set_|_unsafe_view")


class Tally:
    """Context that counts what runs in it. Operations run one by one.

    Args:
        as_gpu: count compiled operations as one kernel and captured ones as one launch on this device too, as a
            graphics card would run them.
    """

    def __init__(self, *, as_gpu: bool = False) -> None:
        self._as_gpu = as_gpu
        self._products = FlopCounterMode(display=False, custom_mapping=_transforms())
        self._traffic = _Traffic(as_gpu=as_gpu)
        self._to_host = _ToHost(self._traffic)
        self._stack = ExitStack()

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return int(self._products.get_total_flops())

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self._traffic.bytes

    @property
    def launches(self) -> int:
        """Kernels launched."""
        return self._traffic.launches

    @property
    def waits(self) -> int:
        """Times that the host waits for the device."""
        return self._traffic.waits + self._to_host.waits

    def __enter__(self) -> Tally:
        for context in (self._products, self._traffic, self._to_host, one_by_one(self)):
            self._stack.enter_context(context)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def compiled(
        self, function: Callable[..., Any], inputs: tuple[Tensor | int, ...], buffers: dict[str, Tensor], fused: bool
    ) -> Any:
        """Run a function; one that would be one kernel is counted as one.

        Each of its inputs is read and each output written once.
        """
        moved, launches = self._traffic.bytes, self._traffic.launches
        if not (fused or self._as_gpu):
            return function(*inputs, **buffers)
        out = function(*inputs)
        self._traffic.bytes = moved + sum(map(_bytes, [*_tensors(inputs), *_tensors(out)]))
        self._traffic.launches = launches + 1
        return out

    def captured(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
        """Run a function; count one that would be a graph as a launch and copies.

        A graph has no waits; a function may ask for a number on a CPU alone.
        """
        launches, waits = self._traffic.launches, self._traffic.waits
        out = function(*inputs)
        if self._as_gpu and fits_graph(out):
            self._traffic.launches, self._traffic.waits = launches + len(inputs) + 2, waits
        return out

    def fetched(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Hand over tensors; count one wait for all."""
        return self._to_host.fetched(tensors)


class _Traffic(TorchDispatchMode):
    """Counter of launches, waits and bytes of every operation."""

    def __init__(self, *, as_gpu: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._as_gpu = as_gpu
        self.bytes = self.launches = self.waits = 0

    @contextmanager
    def paused(self, on_host: bool) -> Iterator[None]:
        """Count nothing of what runs on the host."""
        counts = self.bytes, self.launches, self.waits
        yield
        if on_host:
            self.bytes, self.launches, self.waits = counts

    def as_one(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Count a function as one kernel: inputs read, output written once."""
        with self.paused(on_host=True):
            out = function(*args, **kwargs)
        self.launches += 1
        self.bytes += sum(map(_bytes, [*_tensors((args, kwargs)), *_tensors(out)]))
        return out

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is not torch.ops.prim.device.default:
            with self:  # in inference mode composed operations arrive whole
                out = function.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = function(*args, **kwargs)
        name = function.overloadpacket.__name__
        masks = name in ("index", "index_put_", "_index_put_impl_") and any(
            z.dtype == torch.bool for z in _tensors(args[1])
        )
        sized = name == "repeat_interleave" and kwargs.get("output_size") is not None
        self.waits += (name in WAITING and not sized) or masks
        if _is_view(function) or NO_WORK.match(name):
            return out
        inputs = _tensors((args, {key: value for key, value in kwargs.items() if key != "out"}))
        written = _tensors(out)
        if name in WRITE_ONLY:
            inputs = inputs[1:]
        read = sum(map(_bytes, inputs))
        if name in PICKING:
            read = sum(map(_bytes, written + inputs[1:]))
        self.launches += 1
        if self._as_gpu and name == SUMS_AT_PLACES and written[0].is_floating_point():
            self.launches += MORE_OF_A_SUM
        self.bytes += read + sum(map(_bytes, written))
        return out


class _ToHost(TorchFunctionMode):
    """Counter of tensors that are fetched to the host.

    What is computed of them there is neither a launch nor a wait, until it is sent to a device again.

    Args:
        traffic: counter of the device's operations.
    """

    def __init__(self, traffic: _Traffic) -> None:
        super().__init__()
        self.waits, self._traffic = 0, traffic

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = getattr(function, "__name__", ""), kwargs or {}
        inputs = _tensors((args, kwargs))
        # a device's tensor may be computed with one of the host only as a place to copy to, or by an index
        decisive = inputs[:1] if name in MIXED else [z for z in inputs if z.ndim] or inputs
        on_host = any(getattr(z, ON_HOST, False) for z in decisive)
        if name == "to" and on_host and any(isinstance(z, torch.device | Tensor) for z in args[1:]):
            return function(*args, **kwargs).detach().clone()
        if name in AS_ONE and not on_host:
            return self._traffic.as_one(function, args, kwargs)
        fetched = name in TO_HOST
        self.waits += fetched and not on_host
        if not (fetched or on_host):
            return function(*args, **kwargs)
        with torch._C.DisableTorchFunction(), self._traffic.paused(on_host):  # one fetch, whatever it calls
            out = function(*args, **kwargs)
            if fetched and out is inputs[0]:  # a CPU has nothing to copy: mark another tensor than that of the device
                out = out.detach()
        return _marked(out)

    def fetched(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Mark tensors as fetched, with one wait."""
        self.waits += not all(getattr(z, ON_HOST, False) for z in tensors)
        with torch._C.DisableTorchFunction(), self._traffic.paused(on_host=True):
            fetched: tuple[Tensor, ...] = _marked(tuple(z.detach() for z in tensors))
        return fetched


def _marked(out: Any) -> Any:
    """Mark the tensors of a result as the host's."""
    for z in _tensors(out):
        setattr(z, ON_HOST, True)
    return out


def _is_view(function: Any) -> bool:
    """Return True if an operation returns a view and writes nothing."""
    returns = function._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _tensors(value: Any) -> list[Tensor]:
    """Collect all tensors of nested sequences and mappings."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [z for part in value for z in _tensors(part)] if isinstance(value, list | tuple) else []


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
