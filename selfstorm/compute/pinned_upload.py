"""Uploads of new frames to the device, in parallel with host and device.

A graphics card fetches by itself only from memory that is pinned. Frames are converted into such memory, two buffers of
it in turn, and fetched on a stream of their own, while the host checks the next ones. Everywhere else frames are
computed with in place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import first_line
from selfstorm.frames import Array

log = logging.getLogger(__name__)

MAX_PINNED_BYTES = 2**28  # of each buffer: pinned memory is taken from all other programs
NUMBER = 4  # bytes


def pinned(numbers: int) -> Tensor:
    """Allocate float32 numbers in memory that a device can fetch from.

    Raises:
        RuntimeError: there is no such memory.
    """
    return torch.empty(numbers, dtype=torch.float32, pin_memory=True)


class Uploads:
    """Frames to one device, by one thread.

    Args:
        device: to upload to.
        runtime: has streams and events, as torch.cuda does.
        pin: makes pinned memory.
        devices: types of device that fetch from it.
    """

    def __init__(
        self,
        device: torch.device,
        runtime: Any = torch.cuda,
        pin: Callable[[int], Tensor] = pinned,
        devices: tuple[str, ...] = ("cuda",),
    ) -> None:
        self._device, self._runtime, self._pin = device, runtime, pin
        self._fetches = device.type in devices
        self._stream: Any = None
        self._pieces: list[tuple[Tensor, Any]] = []  # next buffer to write into first; event of its last fetch

    def room(self, shape: tuple[int, ...]) -> Array:
        """Return an uninitialised float32 buffer to write frames into.

        The next buffer is another one; the one after that may be this one again.
        """
        if self._fetches and prod(shape) * NUMBER <= MAX_PINNED_BYTES:
            try:
                return np.asarray(self._next(prod(shape))[: prod(shape)].view(shape).numpy())
            except RuntimeError as error:
                log.warning("no pinned memory, going on without: %s", first_line(error))
                self._fetches = False
        return np.empty(shape, np.float32)

    def send(self, frames: Array) -> Tensor:
        """Upload the frames written into the last buffer.

        Returns:
            Their copy on the device, complete before the device computes with it.
        """
        here = torch.as_tensor(frames)
        if not self._pieces or here.data_ptr() != self._pieces[-1][0].data_ptr():
            return here.to(self._device)
        with self._runtime.stream(self._stream):
            there = here.to(self._device, non_blocking=True, copy=True)
            self._pieces[-1][1].record()
        now = self._runtime.current_stream(self._device)
        now.wait_stream(self._stream)
        there.record_stream(now)  # its memory is not given to the other stream again before this one is done with it
        return there

    def _next(self, numbers: int) -> Tensor:
        """Return pinned memory for so many numbers, whose last upload is complete."""
        if len(self._pieces) < 2:
            self._stream = self._stream or self._runtime.Stream(self._device)
            self._pieces.insert(0, (self._pin(numbers), self._runtime.Event()))
        memory, fetched = self._pieces.pop(0)
        fetched.synchronize()
        if memory.numel() < numbers:
            memory = self._pin(numbers)
        self._pieces.append((memory, fetched))
        return memory
