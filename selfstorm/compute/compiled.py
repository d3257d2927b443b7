"""Elementwise operations in one pass over the maps, where compiled.

One by one, each operation reads its inputs from memory and writes its output to it. Compiled (torch.compile: inductor,
Triton) they are one kernel that reads and writes once. Where nothing can be compiled the operations run as they are. On
a CPU nothing is compiled: it needs a C++ compiler, and longer than a window takes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from selfstorm.compute.acceleration import runner
from selfstorm.errors import first_line

log = logging.getLogger(__name__)

Result = TypeVar("Result", bound="Tensor | tuple[Tensor, ...]")
Function = Callable[..., Result]


def compiled(function: Function[Result]) -> Function[Result]:
    """Compile a function for inputs of any size, when it is first called.

    Raises:
        Exception: at the first call, whatever compilers raise.
    """
    from torch._inductor import config

    config.compile_threads = 1  # so short a function needs no pool of processes, which would stay
    return torch.compile(function, fullgraph=True, dynamic=True)


class CompiledOp(Generic[Result]):
    """A function of tensors that runs in one pass on devices that can.

    It is elementwise but for sums over all elements.

    Args:
        function: may write its result into an input. Keyword arguments are buffers for intermediate results: used where
            operations run one by one, and not passed to a kernel.
        compiler: makes the kernel.
        devices: types of device that have a compiler.
    """

    def __init__(
        self,
        function: Function[Result],
        compiler: Callable[[Function[Result]], Function[Result]] = compiled,
        devices: tuple[str, ...] = ("cuda",),
    ) -> None:
        self._function, self._compiler, self._devices = function, compiler, devices
        self._kernel: Function[Result] | None = None
        self._failed = False

    def __call__(self, *inputs: Tensor | int, **buffers: Tensor) -> Result:
        """Run the function: compiled where possible, else as it is.

        Args:
            inputs: tensors, the first of the device; whole numbers, such as sizes.
            buffers: for intermediate results.
        """
        first = cast(Tensor, inputs[0])
        fused = first.device.type in self._devices and not self._failed
        if (run := runner()) is not None:
            result: Result = run.compiled(self._function, inputs, buffers, fused)
            return result
        if fused:
            try:
                return self._compiled(inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers raise anything: no compiler, no Triton, a graph that breaks
                log.warning("%s is not compiled, going on without: %s", self._function.__name__, first_line(error))
                self._failed = True
        return self._function(*inputs, **buffers)

    def _compiled(self, inputs: tuple[Tensor | int, ...]) -> Result:
        """Call the kernel; compile it at the first call.

        Compilation fails before any input is written into.
        """
        if self._kernel is not None:
            return self._kernel(*inputs)
        with warnings.catch_warnings():  # a user cannot act on what a compiler warns of
            warnings.simplefilter("ignore")
            kernel = self._compiler(self._function)
            result = kernel(*inputs)
        self._kernel = kernel
        return result
