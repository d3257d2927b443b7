"""`python -m benchmarks.stride`: one live stride, step by step.

Milliseconds of every step with the device waited for, and what a graphics card would launch, move and wait for. The
counts need no graphics card: they are those of the operations that ran, in batches as large as a graphics card's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import click
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.stages import SETTINGS, TILE_PX, tile_of
from benchmarks.tally import Tally
from selfstorm.compute.acceleration import batched_on_cpu
from selfstorm.compute.batching import DEVICE_EMITTERS, DEVICE_MAP_BYTES, BatchLimits
from selfstorm.compute.device import describe, prepare_device, synchronize
from selfstorm.frames import Array
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan
from selfstorm.stream.model_kinds import new_model
from selfstorm.stream.model_protocol import StreamModel
from selfstorm.stream.per_frame import ProgressCallbacks
from selfstorm.stream.processing_level import Estimate
from selfstorm.stream.warm_up import warm_up

WINDOW, STRIDE = 100, 25
SETTLED_STRIDES = 2  # after which strides are alike
PROBED_CALLS = 2000
PREVIEW, REFINED = "preview", "refined"


@dataclass(frozen=True, slots=True)
class StepCost:
    """Cost of one step of a stride.

    Attributes:
        name: of the step.
        phase: 'preview' or 'refined', the picture that waits for it, or 'after'.
        ms: measured, the device waited for.
        host_ms: of this thread outside the operations of tensors, measured on a CPU.
        launches: kernels.
        waits: of the host for the device.
        megabytes: moved by the operations.
    """

    name: str
    phase: str
    ms: float
    host_ms: float
    launches: int
    waits: int
    megabytes: float


def movie(side_px: int, strides: int, window: int = WINDOW) -> Array:
    """Simulate frames of a field, (T, H, W) ADU: copies of one tile."""
    tile = tile_of(window + strides * STRIDE)
    copies = -(-side_px // TILE_PX)
    return np.tile(tile, (1, copies, copies))[:, :side_px, :side_px]


def stride_costs(
    raw: Array, estimate: Estimate, device: torch.device, window: int = WINDOW, kind: str = "unrolled"
) -> list[StepCost]:
    """Measure and count the last stride of a movie.

    Args:
        raw: (T, H, W) ADU, a window and some strides.
        estimate: of the picture.
        device: to measure; batches are those of a graphics card.
        window: frames.
        kind: of the model.
    """
    model, strides = settled_model(raw, estimate, device, window, kind), (len(raw) - window) // STRIDE

    def clock() -> tuple[float]:
        synchronize(device)
        return (1e3 * time.perf_counter(),)

    times = _differences(model.copy(), raw, strides, window, clock)
    with _HostClock() as host:
        on_host = _differences(model.copy(), raw, strides, window, lambda: (1e3 * host.seconds,))
    return [
        replace(count, ms=ms, host_ms=host_ms)
        for (_, _, (ms,)), (_, _, (host_ms,)), count in zip(
            times, on_host, counted(model.copy(), raw, window), strict=True
        )
    ]


def settled_model(
    raw: Array, estimate: Estimate, device: torch.device, window: int = WINDOW, kind: str = "unrolled"
) -> StreamModel:
    """Return a model after all strides of a movie but the last.

    The arguments are those of `stride_costs`.
    """
    limits = BatchLimits.on(device) if device.type != "cpu" else BatchLimits(DEVICE_MAP_BYTES, DEVICE_EMITTERS)
    model = new_model(replace(SETTINGS, estimate=estimate, model=kind), raw[:window], Compute(device, limits))
    for number in range((len(raw) - window) // STRIDE):
        _stride(model, raw, number, window)
    return model


def counted(model: StreamModel, raw: Array, window: int = WINDOW) -> list[StepCost]:
    """Count the last stride of a movie, which the model learns from.

    Args:
        model: a settled one.
        raw: (T, H, W) ADU, its movie.
        window: frames.

    Returns:
        Steps without their times.
    """
    strides = (len(raw) - window) // STRIDE
    with Tally(as_gpu=True) as tally, batched_on_cpu():
        counts = _differences(model, raw, strides, window, lambda: (tally.launches, tally.waits, tally.bytes / 1e6))
    return [
        StepCost(name, phase, 0.0, 0.0, int(launches), int(waits), megabytes)
        for name, phase, (launches, waits, megabytes) in counts
    ]


class _HostClock(TorchDispatchMode):
    """Seconds of this thread outside the operations of tensors.

    What it takes to call an operation is left out: a launch is counted as such.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inside_s, self._operations, self._call_s = 0.0, 0, 0.0

    def __enter__(self) -> Self:
        super().__enter__()  # type: ignore[no-untyped-call]
        z = torch.zeros(())
        self._begin_s = time.thread_time()
        for _ in range(PROBED_CALLS):
            z.add_(1.0)
        self._call_s = self._outside_s / PROBED_CALLS
        self._inside_s, self._operations, self._begin_s = 0.0, 0, time.thread_time()
        return self

    @property
    def _outside_s(self) -> float:
        return time.thread_time() - self._begin_s - self._inside_s

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._outside_s - self._operations * self._call_s

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        begin_s = time.thread_time()
        out = function(*args, **(kwargs or {}))
        self._inside_s += time.thread_time() - begin_s
        self._operations += 1
        return out


def _differences(
    model: StreamModel, raw: Array, number: int, window: int, read: Callable[[], tuple[float, ...]]
) -> list[tuple[str, str, tuple[float, ...]]]:
    """Run a stride.

    Returns:
        Name and phase of each step, and by how much the meters that `read` reads went on in it.
    """
    marks: list[tuple[str, tuple[float, ...]]] = []
    shown: list[int] = []
    last = read()
    _stride(model, raw, number, window, lambda step: marks.append((step, read())), lambda: shown.append(len(marks)))
    found = []
    phases = (PREVIEW, REFINED)[-len(shown) :]  # a tiled model has no preview
    for position, (step, now) in enumerate(marks):
        phase = next((name for name, end in zip(phases, shown, strict=True) if position < end), "after")
        found.append((step, phase, tuple(b - a for a, b in zip(last, now, strict=True))))
        last = now
    return found


def _stride(
    model: StreamModel,
    raw: Array,
    number: int,
    window: int,
    mark: Callable[[str], None] = lambda step: None,
    show: Callable[[], None] = lambda: None,
) -> None:
    """Reconstruct one stride as the live engine does."""
    first = number * STRIDE
    new = np.arange(window) if number == 0 else np.arange(first + window - STRIDE, first + window)
    model.ingest(raw[new], WindowSpan(new, first, STRIDE))
    mark("ingest")
    span = WindowSpan(np.arange(first, first + window), first, STRIDE)

    def preview(result: object) -> None:
        mark("preview")
        show()

    model.picture(span, None, ProgressCallbacks(mark=mark), preview)
    mark("picture")
    show()
    model.accumulate()
    mark("accumulated")


def total(costs: list[StepCost], *phases: str) -> StepCost:
    """Add up the steps of some phases."""
    some = [cost for cost in costs if cost.phase in phases]
    numbers = [sum(getattr(cost, field.name) for cost in some) for field in fields(StepCost)[2:]]
    return StepCost(f"until {phases[-1]}", phases[-1], *numbers)


def rows(costs: list[StepCost]) -> list[list[str]]:
    """Return a header and a row per step, equal steps added up."""
    table = [["step", "waits for it", "ms", "host ms", "launches", "waits", "MB"]]
    merged: dict[tuple[str, str], list[StepCost]] = {}
    for cost in costs:
        merged.setdefault((cost.name, cost.phase), []).append(cost)
    sums = [replace(total(some, phase), name=name, phase=phase) for (name, phase), some in merged.items()]
    for cost in [*sums, total(costs, PREVIEW), total(costs, PREVIEW, REFINED)]:
        numbers = f"{cost.ms:.1f}", f"{cost.host_ms:.1f}", str(cost.launches), str(cost.waits), f"{cost.megabytes:.0f}"
        table.append([cost.name, cost.phase, *numbers])
    return table


@click.command()
@click.option("--side", type=click.IntRange(16, 4096), default=512, show_default=True, help="Camera pixels.")
@click.option("--window", type=click.IntRange(25, 400), default=WINDOW, show_default=True, help="Frames.")
@click.option("--estimate", type=click.Choice(["density", "emitters", "fused"]), default="fused", show_default=True)
@click.option("--model", "kind", type=click.Choice(["unrolled", "tiled"]), default="unrolled", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Writes stride_MODEL_SIDE.json.")
def main(side: int, window: int, estimate: Estimate, kind: str, device: str, output: Path | None) -> None:
    """Measure and count one live stride of a SIDE x SIDE field."""
    from benchmarks.report import aligned

    torch_device = prepare_device(device)
    begin = time.perf_counter()
    warm_up(torch_device)
    click.echo(f"{describe(torch_device)}, kernels compiled in {time.perf_counter() - begin:.1f} s")
    costs = stride_costs(movie(side, SETTLED_STRIDES, window), estimate, torch_device, window, kind)
    click.echo("\n".join(aligned(rows(costs))))
    peak = torch.cuda.max_memory_allocated(torch_device) if torch_device.type == "cuda" else None
    if output is not None:
        record = {
            "side_px": side,
            "model": kind,
            "estimate": estimate,
            "device": describe(torch_device),
            "peak_bytes": peak,
        }
        sums = {phase: asdict(total(costs, *phases)) for phase, phases in _UNTIL.items()}
        steps = [asdict(cost) for cost in costs]
        path = output / f"stride_{kind}_{side}.json"
        path.write_text(
            json.dumps(record | {"peak_bytes": peak, "until": sums, "steps": steps}, indent=1) + "\n", encoding="utf-8"
        )


_UNTIL = {PREVIEW: (PREVIEW,), REFINED: (PREVIEW, REFINED), "after": (PREVIEW, REFINED, "after")}


if __name__ == "__main__":
    main()
