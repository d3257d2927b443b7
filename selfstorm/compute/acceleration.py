"""Switches of what a graphics card does in another way than a CPU.

Compiled kernels and CUDA graphs: without them operations run one by one; tests check that both make the same pictures
(tests/gpu). They are off while a benchmark counts operations, which kernels and graphs would hide.

Batches: on a card every operation costs its launch, so that one on many small inputs is faster than many. On a CPU,
whose caches hold one input at a time, it is slower.

Both switches are per thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import Tensor


class Runner(Protocol):
    """Runs operations in place of compiled kernels and graphs."""

    def compiled(
        self, function: Callable[..., Any], inputs: tuple[Tensor | int, ...], buffers: dict[str, Tensor], fused: bool
    ) -> Any:
        """Run the function of a CompiledOp.

        Args:
            function: to run.
            inputs: its arguments.
            buffers: its keyword arguments, for intermediate results.
            fused: whether it would have been one kernel.
        """
        ...

    def captured(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
        """Run a function that would have been a graph on a graphics card."""
        ...

    def fetched(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Fetch tensors that a graphics card would send to the host at once."""
        ...


class _Plain:
    """Runs every operation as it is."""

    def compiled(
        self, function: Callable[..., Any], inputs: tuple[Tensor | int, ...], buffers: dict[str, Tensor], fused: bool
    ) -> Any:
        return function(*inputs, **buffers)

    def captured(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> Any:
        return function(*inputs)

    def fetched(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(z.cpu() for z in tensors)


_PLAIN = _Plain()
_runner: ContextVar[Runner | None] = ContextVar("runner", default=None)


@contextmanager
def one_by_one(runner: Runner = _PLAIN) -> Iterator[None]:
    """Run operations one by one in this thread.

    Args:
        runner: runs the operations of a CompiledOp and of graphs.
    """
    before = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(before)


_batched_on_cpu: ContextVar[bool] = ContextVar("batched_on_cpu", default=False)


@contextmanager
def batched_on_cpu() -> Iterator[None]:
    """Compute in a graphics card's batches on a CPU too, to count or test."""
    before = _batched_on_cpu.set(True)
    try:
        yield
    finally:
        _batched_on_cpu.reset(before)


def in_batches(device: torch.device) -> bool:
    """Return whether a device computes many small inputs in one operation."""
    return device.type != "cpu" or _batched_on_cpu.get()


def runner() -> Runner | None:
    """Return the runner that replaces compiled kernels; None: there is none."""
    return _runner.get()
