"""The device of a stream: its batch limits and its uploads.

All copies of a model share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from selfstorm.compute.batching import BatchLimits
from selfstorm.compute.device_clock import DeviceClock
from selfstorm.compute.pinned_upload import Uploads

if TYPE_CHECKING:
    from selfstorm.stream.tiled.field import TileWorkers


class Compute:
    """A device, its batch limits, and the uploads of frames to it.

    Limits that had to be halved stay halved for every model on the device, also where a window is rolled back.

    Attributes:
        limits: upper limits of every plan.
        planned: the limits in use, within them: those of the last plan, or halved since.
        clock: of the device.
        tile_workers: processes that compute the tiles of a tiled model; None where this process does.
    """

    def __init__(
        self,
        device: torch.device,
        limits: BatchLimits | None = None,
        uploads: Uploads | None = None,
        tile_workers: TileWorkers | None = None,
    ) -> None:
        self.device, self.tile_workers = device, tile_workers
        self.limits = limits or BatchLimits.on(device)
        self.uploads = uploads or Uploads(device)
        self.planned = self.limits
        self.clock = DeviceClock(device)
        self._bounded = device.type != "cpu"

    @property
    def max_group(self) -> int | None:
        """Emitters that are localized together at most.

        None stands for all of a batch of frames. A CPU's memory is not planned: there groups are bounded once it ran
        short.
        """
        return self.planned.emitters if self._bounded else None

    def halve_limits(self) -> bool:
        """Halve the batch limits in use.

        Returns:
            False where the smallest limits are reached.
        """
        smaller = self.planned.halved()
        if smaller is None:
            return False
        self.limits = self.planned = smaller
        self._bounded = True
        return True
