"""Layers as one launch: CUDA graphs of functions of fixed shapes, and the function itself wherever that cannot be.

A layer of a small field is a dozen operations that each take less time than their launch. A graph launches all layers
at once. It computes on copies of its own, so it is kept for small tensors alone; and it is believed only after it has
come to what the function itself came to.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from selfstorm.compute.compiled import watcher
from selfstorm.errors import first_line

log = logging.getLogger(__name__)

Function = Callable[..., Tensor]
Capture = Callable[[Function, tuple[Tensor, ...]], Function]

MAX_GRAPHS = 8
MAX_GRAPH_BYTES = 64 * 2**20  # of the result: above, an operation takes longer than its launch
EQUAL = 1e-5  # of the largest number


def captured(function: Function, example: tuple[Tensor, ...]) -> Function:
    """The function as a CUDA graph, for inputs of the example's shapes. Raises RuntimeError where it cannot be one."""
    inputs = [z.clone() for z in example]
    aside = torch.cuda.Stream(example[0].device)
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # libraries make their workspaces at a first call, which a graph cannot hold
        function(*inputs)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        out = function(*inputs)

    def replay(*given: Tensor) -> Tensor:
        for kept, new in zip(inputs, given, strict=True):
            kept.copy_(new)
        graph.replay()
        return out.clone()

    return replay


class Graphs:
    """Graphs of the functions that one set of operators is used in: other operators, other Graphs.

    capture: makes a graph. devices: types of device that have them.
    """

    def __init__(self, capture: Capture = captured, devices: tuple[str, ...] = ("cuda",)) -> None:
        self._capture, self._devices = capture, devices
        self._known: OrderedDict[Hashable, Function | None] = OrderedDict()

    def run(self, name: Hashable, function: Function, *inputs: Tensor) -> Tensor:
        """function(*inputs), as a graph from the second time on that inputs of these shapes come.

        name: of the function and of everything but the inputs that its result depends on.
        """
        if inputs[0].device.type not in self._devices or watcher() is not None:  # a graph would hide its operations
            return function(*inputs)
        key = (name, *(z.shape for z in inputs))
        if key in self._known:
            self._known.move_to_end(key)
            return (self._known[key] or function)(*inputs)
        result = function(*inputs)
        small = result.numel() * result.element_size() <= MAX_GRAPH_BYTES
        self._known[key] = self._graph(name, function, inputs, result) if small else None
        if len(self._known) > MAX_GRAPHS:
            self._known.popitem(last=False)
        return result

    def _graph(self, name: Hashable, function: Function, inputs: tuple[Tensor, ...], result: Tensor) -> Function | None:
        """The graph, if it comes to the same result."""
        try:
            graph = self._capture(function, inputs)
            again = graph(*inputs)
        except RuntimeError as error:
            log.warning("no CUDA graph of %s, going on without: %s", name, first_line(error))
            return None
        difference, largest = float((again - result).abs().max()), float(result.abs().max())
        if not difference <= EQUAL * largest:
            log.warning("the CUDA graph of %s is off by %g of %g, going on without", name, difference, largest)
            return None
        return graph
