"""Figure of a benchmark of the live engine."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from benchmarks.stream import StreamFigures

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DPI = 130


def write_figure(path: Path, figures: StreamFigures, device: str) -> None:
    """Write the PNG: latency against camera rate.

    If they were measured, also the cost of a stride against the window's length, and warm against cold starts.
    """
    whole = bool(figures.lengths)
    figure = Figure(figsize=(12.5 if whole else 5.0, 3.9), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3 if whole else 1, squeeze=False)[0]
    _latencies(axes[0], figures)
    if whole:
        _lengths(axes[1], figures)
        _warm_beside_cold(axes[2], figures)
    figure.suptitle(f"Self-STORM live, {device}", fontsize=10)
    figure.savefig(path, format="png")


def _latencies(late: Axes, figures: StreamFigures) -> None:
    sides = sorted({run.side_px for run in figures.rates})
    for colour, side in zip(COLOURS, sides, strict=False):
        runs = sorted((run for run in figures.rates if run.side_px == side), key=lambda run: run.rate_hz)
        rates = [run.rate_hz for run in runs]
        late.plot(rates, [run.refined_ms[1] for run in runs], "-", color=colour, label=f"{side} x {side} px")
        for run in runs:
            late.plot(run.rate_hz, run.refined_ms[1], "x" if run.skipped else "o", color=colour)
    every = sorted({run.rate_hz for run in figures.rates})
    late.plot(every, [25_000 / rate for rate in every], ":", color="0.4", label="a stride of 25 frames")
    late.set(xscale="log", yscale="log", xlabel="camera, frames a second", ylabel="refined picture, p95, ms")
    late.set_title("How late (x: windows skipped)", fontsize=10)
    late.legend(fontsize=8)
    _ticks(late, every)


def _lengths(length: Axes, figures: StreamFigures) -> None:
    for colour, level in zip(COLOURS, dict.fromkeys(cost.level for cost in figures.lengths), strict=False):
        costs = [cost for cost in figures.lengths if cost.level == level]
        values = [1000 * cost.stride_s for cost in costs]
        length.plot([cost.window for cost in costs], values, "o-", color=colour, label=level)
    length.set(xscale="log", yscale="log", xlabel="frames of a window", ylabel="a stride of 25 frames, ms")
    length.set_title("What a longer window costs", fontsize=10)
    length.legend(fontsize=8)
    _ticks(length, sorted({float(cost.window) for cost in figures.lengths}))


def _warm_beside_cold(warm: Axes, figures: StreamFigures) -> None:
    places = range(len(figures.warm))
    warm.bar([p - 0.2 for p in places], [w.warm for w in figures.warm], 0.4, color=COLOURS[0], label="warm")
    warm.bar([p + 0.2 for p in places], [w.cold for w in figures.warm], 0.4, color=COLOURS[4], label="cold")
    warm.set_xticks(list(places), [f"{w.level}\n{1000 * w.seconds:.0f} ms" for w in figures.warm], fontsize=8)
    warm.set(ylabel="Pearson with the truth, 25 frames", ylim=(0, 1))
    warm.set_title("Warm and cold at the same cost", fontsize=10)
    warm.legend(fontsize=8)


def _ticks(axes: Axes, values: list[float]) -> None:
    axes.set_xticks(values, [f"{value:.3g}" for value in values], fontsize=8)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=8, which="both")
