"""Limits of a device, and the figures of a run compared with them.

Ceilings are measured in the same run: a copy for the memory, a matrix product for arithmetic. No stage can be faster
than the slower of bytes / copy and operations / product allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from selfstorm.compute.device import synchronize

REPEATS = 5
LARGE = {"cuda": (2**28, 8192), "mps": (2**26, 4096), "cpu": (2**25, 1024)}  # numbers copied, side of the product


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Measured limits of a device.

    Attributes:
        copy_bytes_s: bytes per second of a copy, reading and writing counted.
        product_flops_s: float32 operations per second of a matrix product.
    """

    copy_bytes_s: float
    product_flops_s: float


@dataclass(frozen=True, slots=True)
class StageCost:
    """Time and work of one unit of a stage, such as an iteration.

    Attributes:
        side_px: of the field.
        stage: name.
        unit: name.
        seconds: measured.
        flops: counted operations.
        bytes: counted bytes read and written.
        launches: counted kernels, as a graphics card would run it.
        waits: counted times that the host waits for the device.
        least_bytes: bytes if each input were read once and each output written once; 0 where a stage does not say.
    """

    side_px: int
    stage: str
    unit: str
    seconds: float
    flops: float
    bytes: float
    launches: float = 0.0
    waits: float = 0.0
    least_bytes: float = 0.0

    def limit_seconds(self, ceilings: Ceilings) -> float:
        """Return the seconds at the slower of both ceilings."""
        return max(self.flops / ceilings.product_flops_s, self.bytes / ceilings.copy_bytes_s)

    def share(self, ceilings: Ceilings) -> float:
        """Return the share of the device's best speed, 0..1.

        It may exceed 1: data that fit a cache are read faster than from memory.
        """
        return self.limit_seconds(ceilings) / self.seconds

    def least_share(self, ceilings: Ceilings) -> float:
        """Return the share of the speed at the least bytes, 0..1."""
        limit_s = max(self.flops / ceilings.product_flops_s, self.least_bytes / ceilings.copy_bytes_s)
        return limit_s / self.seconds


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """Seconds of whole windows.

    Attributes:
        side_px: of the field.
        frames: of the window.
        first_picture_s: from the first window's frames to its density, including making the model.
        cold_s: likewise to its refined picture.
        stride_s: one more stride of 25 frames.
        emitters_hz: frames per second through stage B alone, fast.
        paper_s: the published model on the first window, one epoch and its picture; None if not measured.
        planned_bytes: of device memory.
        peak_bytes: of device memory used, on CUDA.
    """

    side_px: int
    frames: int
    first_picture_s: float
    cold_s: float
    stride_s: float
    emitters_hz: float
    paper_s: float | None
    planned_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Figures of one run.

    Attributes:
        ceilings: of the device.
        stages: cost of each stage and field.
        windows: cost of whole windows of each field.
    """

    ceilings: Ceilings
    stages: tuple[StageCost, ...]
    windows: tuple[MeasuredWindow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, with those that follow from them."""
        stages = [
            {
                **asdict(cost),
                "limit_seconds": cost.limit_seconds(self.ceilings),
                "share": cost.share(self.ceilings),
                "least_share": cost.least_share(self.ceilings),
            }
            for cost in self.stages
        ]
        return {"ceilings": asdict(self.ceilings), "stages": stages, "windows": [asdict(cost) for cost in self.windows]}

    def table(self) -> list[list[str]]:
        """Return a header and a row per stage."""
        rows = [["stage", "field", "time ms", "Mflop", "MB", "least MB", "limit ms", "share", "bound by"]]
        for cost in self.stages:
            limit = cost.limit_seconds(self.ceilings)
            memory = cost.bytes / self.ceilings.copy_bytes_s >= limit
            numbers = [1e3 * cost.seconds, cost.flops / 1e6, cost.bytes / 1e6, cost.least_bytes / 1e6, 1e3 * limit]
            rows.append(
                [
                    f"{cost.stage}, a {cost.unit}",
                    f"{cost.side_px} px",
                    *(f"{number:.3g}" for number in numbers),
                    f"{cost.share(self.ceilings):.0%}",
                    "memory" if memory else "arithmetic",
                ]
            )
        return rows


def ceilings_of(device: torch.device) -> Ceilings:
    """Measure the ceilings of a device, the best of some tries."""
    numbers, side = LARGE[device.type]
    there, here = torch.zeros(numbers, device=device), torch.ones(numbers, device=device)
    copy_s = min(times(lambda: there.copy_(here), device))
    a, b = torch.ones(side, side, device=device), torch.ones(side, side, device=device)
    product_s = min(times(lambda: a @ b, device))
    return Ceilings(2 * 4 * numbers / copy_s, 2 * side**3 / product_s)


def times(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> list[float]:
    """Return the seconds of each of some calls, after one to warm up."""
    work()
    took = []
    for _ in range(repeats):
        synchronize(device)
        begin = time.perf_counter()
        work()
        synchronize(device)
        took.append(time.perf_counter() - begin)
    return took
