"""Batch sizes: how much is computed at once, and half as much where memory ends."""

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
MIN_NEW_FRAMES = 64  # fewer would change what their trend is, and with it the picture
# What the caches of a CPU hold; 600 to 3000 emitters at once were about as fast.
CPU_MAP_BYTES, CPU_EMITTERS, NEW_FRAMES = 16 * 2**20, 1500, 128
# On a graphics card small operations cost their launch. Maps of 2 GiB take it 1 ms to read, a launch some 5 us.
DEVICE_MAP_BYTES, DEVICE_EMITTERS = 2 * 2**30, 30_000


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that is computed at once.

    map_bytes: memory of the frames whose maps are made together, at four maps a frame. emitters: localised together.
    new_frames: ingested together.
    """

    map_bytes: int = CPU_MAP_BYTES
    emitters: int = CPU_EMITTERS
    new_frames: int = NEW_FRAMES

    @classmethod
    def on(cls, device: torch.device) -> BatchLimits:
        """Limits of a device: what the caches of a CPU hold, or what keeps a graphics card busy."""
        return cls() if device.type == "cpu" else cls(DEVICE_MAP_BYTES, DEVICE_EMITTERS)

    def halved(self) -> BatchLimits | None:
        """Half of each limit, or None where the smallest batches are reached."""
        if self.map_bytes <= MIN_MAP_BYTES:
            return None
        return BatchLimits(
            max(MIN_MAP_BYTES, self.map_bytes // 2), max(1, self.emitters // 2), max(1, self.new_frames // 2)
        )


def frames_together(cells: int, map_bytes: int) -> int:
    """Number of frames in a batch, at four float32 maps of so many cells a frame; at least 1."""
    return max(1, map_bytes // (cells * BYTES_PER_NUMBER * MAPS_PER_FRAME))


def batches(frames: int, like: Tensor, map_bytes: int = CPU_MAP_BYTES) -> Iterator[slice]:
    """Slices of frames whose maps, each the size of `like`, fit the cache and the memory."""
    size = frames_together(like.numel(), map_bytes)
    yield from (slice(start, start + size) for start in range(0, frames, size))


def free_bytes(device: torch.device) -> int | None:
    """Bytes of a device's memory that this process can have now; None on the CPU, whose memory is not planned."""
    if device.type == "cuda":
        held_for_us = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held_for_us
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return None


def retry_on_oom(work: Callable[[], T], do_less: Callable[[Exception], bool]) -> T:
    """Call work() again, each time after do_less(error), until memory suffices.

    Args:
        work: leaves everything as it was where it raises.
        do_less: makes the next call need less memory; returns False where it cannot.

    Raises:
        Exception: whatever `work` raises that is no lack of memory, or that nothing can be done about.
    """
    while True:
        try:
            return work()
        except Exception as error:
            if not (out_of_memory(error) and do_less(error)):
                raise
        # only here has the error let go of the tensors made before it
        release()


def out_of_memory(error: Exception) -> bool:
    """Tell a lack of memory, of the device or of this machine, from other errors."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("out of memory" in str(error) or "can't allocate memory" in str(error))


def release() -> None:
    """Collect what failed work left in cycles, and give unused cached memory back to the device."""
    gc.collect()
    torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
