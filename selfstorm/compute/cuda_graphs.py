"""Iterations as one launch: CUDA graphs of functions of fixed shapes.

An iteration on a small field is a dozen operations that each take less time than their launch. A graph launches all
iterations at once. It computes on copies of its own, so it is kept for small tensors alone. Where a function cannot be
captured, it is called as it is.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

from selfstorm.compute.acceleration import runner
from selfstorm.errors import first_line

log = logging.getLogger(__name__)

Result = TypeVar("Result", bound="Tensor | tuple[Tensor, ...]")
Function = Callable[..., Result]
Capture = Callable[[Function[Any], tuple[Tensor, ...]], Function[Any]]

MAX_GRAPHS = 24
MAX_GRAPH_BYTES = 64 * 2**20  # of the result: above, an operation takes longer than its launch


def captured(function: Function[Result], example: tuple[Tensor, ...]) -> Function[Result]:
    """Capture a function as a CUDA graph for inputs of the example's shapes.

    Raises:
        RuntimeError: the function cannot be captured.
    """
    inputs = [z.clone() for z in example]
    side_stream = torch.cuda.Stream(example[0].device)
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):  # libraries allocate workspaces at a first call, which a graph cannot capture
        function(*inputs)
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        out = function(*inputs)

    def replay(*given: Tensor) -> Any:
        for kept, new in zip(inputs, given, strict=True):
            kept.copy_(new)
        graph.replay()
        return out.clone() if isinstance(out, Tensor) else tuple(z.clone() for z in out)

    return replay


def fits_graph(tensors: Tensor | tuple[Tensor, ...]) -> bool:
    """Return whether tensors are small enough for a graph, which copies them.

    Args:
        tensors: results of the function; or its inputs, where these are the larger ones.
    """
    parts = (tensors,) if isinstance(tensors, Tensor) else tensors
    return sum(z.numel() * z.element_size() for z in parts) <= MAX_GRAPH_BYTES


class Graphs:
    """Graphs of the functions that use one set of operators.

    Other operators need other Graphs.

    Args:
        capture: makes a graph.
        devices: types of device that have them.
    """

    def __init__(self, capture: Capture = captured, devices: tuple[str, ...] = ("cuda",)) -> None:
        self._capture, self._devices = capture, devices
        self._known: OrderedDict[Hashable, Function[Any] | None] = OrderedDict()

    def run(self, name: Hashable, function: Function[Result], *inputs: Tensor) -> Result:
        """Call function(*inputs), as a graph from the second call of a shape on.

        Args:
            name: of the function and of everything but the inputs that its result depends on.
            function: to call.
            inputs: tensors on one device.
        """
        if (run := runner()) is not None:
            replaced: Result = run.captured(function, inputs)
            return replaced
        if inputs[0].device.type not in self._devices:
            return function(*inputs)
        key = (name, *(z.shape for z in inputs))
        if key in self._known:
            self._known.move_to_end(key)
            known: Result = (self._known[key] or function)(*inputs)
            return known
        result = function(*inputs)
        self._known[key] = self._graph(name, function, inputs) if fits_graph(result) else None
        if len(self._known) > MAX_GRAPHS:
            self._known.popitem(last=False)
        return result

    def _graph(self, name: Hashable, function: Function[Result], inputs: tuple[Tensor, ...]) -> Function[Result] | None:
        """Return the graph, None if the function cannot be captured."""
        try:
            return self._capture(function, inputs)
        except RuntimeError as error:
            log.warning("no CUDA graph of %s, going on without: %s", name, first_line(error))
            return None
