"""Moments in a device's work, and the seconds between them.

The host runs ahead of a graphics card: by its own clock a hundred iterations take as long as their launches. So the
card notes the moments itself, in the order of its work, and the host reads them when it has the picture anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)


class DeviceClock:
    """Clock of a device.

    Args:
        device: whose work is timed.
        event: makes an event that notes its time.
        devices: types of device that have events.
    """

    def __init__(
        self, device: torch.device, event: Callable[[], Any] = _event, devices: tuple[str, ...] = ("cuda",)
    ) -> None:
        self._event = event if device.type in devices else None

    def now(self) -> Any:
        """Return the moment at which the device has done all work so far."""
        if self._event is None:
            return time.monotonic()
        event = self._event()
        event.record()
        return event

    def seconds(self, earlier: Any, later: Any) -> float:
        """Return the seconds between two moments; wait for the later one."""
        if self._event is None:
            return float(later - earlier)
        later.synchronize()
        return float(earlier.elapsed_time(later)) / 1e3
