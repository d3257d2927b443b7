"""Batch sizes: how much is computed at once, halved when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
BYTES_PER_NUMBER = 4
MAPS_PER_FRAME = 4
MIN_MAP_BYTES = 2**20
# What the caches of a CPU hold; with 600 to 3000 emitters at once the time was about the same.
CPU_MAP_BYTES, CPU_EMITTERS, NEW_FRAMES = 16 * 2**20, 1500, 128
# On a graphics card small operations cost their launch. Maps of 2 GiB take it 1 ms to read, a launch some 5 us; the
# emitters of a stride of 512 x 512 pixels are localized in one group, and each group is some 1,700 launches.
DEVICE_MAP_BYTES, DEVICE_EMITTERS = 2 * 2**30, 2**19


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Upper limits of what is computed at once.

    Attributes:
        map_bytes: memory of the frames whose maps are made together, at MAPS_PER_FRAME maps a frame.
        emitters: localized together.
        new_frames: ingested together.
    """

    map_bytes: int = CPU_MAP_BYTES
    emitters: int = CPU_EMITTERS
    new_frames: int = NEW_FRAMES

    @classmethod
    def on(cls, device: torch.device) -> BatchLimits:
        """Return the limits of a device.

        They are what the caches of a CPU hold, or what keeps a graphics card busy.
        """
        return cls() if device.type == "cpu" else cls(DEVICE_MAP_BYTES, DEVICE_EMITTERS)

    def halved(self) -> BatchLimits | None:
        """Return half of each limit, or None at the smallest batches."""
        if self.map_bytes <= MIN_MAP_BYTES:
            return None
        return BatchLimits(
            max(MIN_MAP_BYTES, self.map_bytes // 2), max(1, self.emitters // 2), max(1, self.new_frames // 2)
        )


def frames_together(cells: int, map_bytes: int) -> int:
    """Return the number of frames in a batch, at least 1.

    Args:
        cells: of one map of one frame; there are MAPS_PER_FRAME float32 maps of them.
        map_bytes: memory for the maps of all frames.
    """
    return max(1, map_bytes // (cells * BYTES_PER_NUMBER * MAPS_PER_FRAME))


def batches(frames: int, like: Tensor, map_bytes: int = CPU_MAP_BYTES) -> Iterator[slice]:
    """Cut frames into slices whose maps fit the cache and the memory.

    Args:
        frames: number of frames.
        like: a map of one frame.
        map_bytes: memory for the maps of all frames.
    """
    size = frames_together(like.numel(), map_bytes)
    yield from (slice(start, start + size) for start in range(0, frames, size))


def free_bytes(device: torch.device) -> int | None:
    """Return the bytes of a device's memory that this process can still use.

    None on the CPU, whose memory is not planned.
    """
    if device.type == "cuda":
        held_for_us = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held_for_us
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return None


def retry_on_oom(work: Callable[[], T], do_less: Callable[[Exception], bool]) -> T:
    """Call work() again after do_less(error), until memory suffices.

    Args:
        work: leaves everything as it was where it raises.
        do_less: makes the next call need less memory; returns False where it cannot.

    Raises:
        Exception: whatever `work` raises that is no lack of memory, or that do_less cannot help.
    """
    while True:
        try:
            return work()
        except Exception as error:
            if not (out_of_memory(error) and do_less(error)):
                raise
        # only here, outside `except`, are the tensors that the traceback refers to free
        release()


def out_of_memory(error: Exception) -> bool:
    """Return True if the error is a lack of memory, of device or host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("out of memory" in str(error) or "can't allocate memory" in str(error))


def release() -> None:
    """Free what failed work left behind.

    Reference cycles are collected, and unused cached memory goes back to the device.
    """
    gc.collect()
    torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
