"""The switch of compiled kernels and CUDA graphs.

Without them operations run one by one; tests check that both make the same pictures (tests/gpu). The switch is per
thread, and off while a benchmark counts operations, which kernels and graphs would hide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor

# (function, inputs, buffers, whether it would have been one kernel) -> result
Runner = Callable[[Callable[..., Any], tuple[Tensor, ...], dict[str, Tensor], bool], Any]


def _plainly(function: Callable[..., Any], inputs: tuple[Tensor, ...], buffers: dict[str, Tensor], fused: bool) -> Any:
    return function(*inputs, **buffers)


_runner: ContextVar[Runner | None] = ContextVar("runner", default=None)


@contextmanager
def one_by_one(runner: Runner = _plainly) -> Iterator[None]:
    """Run operations one by one in this thread.

    Args:
        runner: runs the operations of a CompiledOp.
    """
    before = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(before)


def runner() -> Runner | None:
    """Return the runner that replaces compiled kernels; None: there is none."""
    return _runner.get()
