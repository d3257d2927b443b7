"""Elementwise operations in one pass over the maps: compiled on a graphics card, one by one wherever that cannot be.

One by one each operation reads its inputs from memory and writes its output to it. Compiled (torch.compile: inductor,
Triton) they are one kernel that reads and writes once. It is believed, for inputs of a shape, only after it has come to
what the operations themselves came to. On a CPU nothing is compiled: that takes a compiler and longer than a window.
"""

from __future__ import annotations

import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from selfstorm.errors import first_line

log = logging.getLogger(__name__)

Result = TypeVar("Result", bound="Tensor | tuple[Tensor, ...]")

CHECKED = 3  # calls: the first ones of an unrolled network start from zeros, which are too easily equal
MOST_SHAPES = 32
EQUAL = 1e-5  # of a map's largest number; of 1 for a scalar, which weighs maps and may be a sum that cancels


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one kernel for inputs of any size, made when it is first called. Raises whatever compilers do."""
    from torch._inductor import config

    config.compile_threads = 1  # some lines need no pool of processes that would outlive them
    return torch.compile(function, fullgraph=True, dynamic=True)


def watcher() -> Any:
    """Whoever watches every single operation of this thread, such as a Tally; None where nobody does."""
    return _get_current_dispatch_mode()


class CompiledOp(Generic[Result]):
    """A function of tensors, elementwise but for sums over all of them, in one pass on devices that can.

    function: may write its result into an input. Keyword arguments are rooms for what is in between: of use where
    operations run one by one, and not handed to a compiled one. compiler: makes that. devices: types that have it.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        compiler: Callable[[Callable[..., Result]], Callable[..., Result]] = compiled,
        devices: tuple[str, ...] = ("cuda",),
    ) -> None:
        self._function, self._compiler, self._devices = function, compiler, devices
        self._kernel: Callable[..., Result] | None = None
        self._failed = False
        self._unproved: OrderedDict[Hashable, int | None] = OrderedDict()  # calls to check; None: was wrong once

    def __call__(self, *inputs: Tensor, **rooms: Tensor) -> Result:
        if self._failed or inputs[0].device.type not in self._devices:
            return self._function(*inputs, **rooms)
        key = tuple((z.device, z.dtype, z.shape, z.stride()) for z in inputs)
        unproved = self._unproved.get(key, CHECKED)
        if (watching := watcher()) is not None:  # a kernel would hide its operations
            one_pass = None if unproved else getattr(watching, "one_pass", None)
            if one_pass is None:
                return self._function(*inputs, **rooms)
            counted: Result = one_pass(self._function, inputs)
            return counted
        if unproved == 0 and self._kernel is not None:
            return self._kernel(*inputs)
        if unproved is None:
            return self._function(*inputs, **rooms)
        return self._checked(key, unproved, inputs, rooms)

    def _checked(self, key: Hashable, unproved: int, inputs: tuple[Tensor, ...], rooms: dict[str, Tensor]) -> Result:
        """The function's result, and whether the kernel, on copies, comes to the same."""
        copies = [z.clone() for z in inputs]
        result = self._function(*inputs, **rooms)
        try:
            with warnings.catch_warnings():  # what a compiler warns of is nothing that a user could mend
                warnings.simplefilter("ignore")
                self._kernel = self._kernel or self._compiler(self._function)
                again = self._kernel(*copies)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # what compilers raise is no family: no compiler, no Triton, a graph that breaks
            log.warning("%s is not compiled, going on without: %s", self._function.__name__, first_line(error))
            self._failed = True
            return result
        wrong = _difference(again, result)
        if not wrong <= EQUAL:
            log.warning("%s compiled is off by %g, going on without", self._function.__name__, wrong)
        self._unproved[key] = unproved - 1 if wrong <= EQUAL else None
        if len(self._unproved) > MOST_SHAPES:
            self._unproved.popitem(last=False)
        return result


def _difference(one: Tensor | tuple[Tensor, ...], other: Tensor | tuple[Tensor, ...]) -> float:
    """The largest in units of each result; not a number where either is none."""
    ones, others = ((z,) if isinstance(z, Tensor) else z for z in (one, other))
    off = []
    for a, b in zip(ones, others, strict=True):
        unit = b.abs().max().clamp(min=torch.finfo(b.dtype).tiny) if b.ndim else torch.ones_like(b)
        off.append(((a - b).abs().max() / unit).double())
    return float(torch.stack(off).max())
