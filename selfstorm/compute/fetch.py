"""Fetch tensors to the host with one wait for the device."""

from __future__ import annotations

from torch import Tensor

from selfstorm.compute.acceleration import runner
from selfstorm.compute.device import synchronize


def fetch(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Fetch tensors of a device, waiting once for all of them.

    Returns:
        The same tensors on the host; on a CPU, the tensors themselves.
    """
    if (run := runner()) is not None:
        return run.fetched(tensors)
    on_host = tuple(z.to("cpu", non_blocking=True) for z in tensors)
    for device in {z.device for z in tensors}:
        synchronize(device)
    return on_host
