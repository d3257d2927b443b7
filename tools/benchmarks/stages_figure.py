"""Figure of a benchmark of the stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.roofline import StageFigures

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
MARKS = "osD^v"
DPI = 130


def write_figure(path: Path, figures: StageFigures, device: str) -> None:
    """Write the PNG: roofline of the stages, and time of whole windows."""
    figure = Figure(figsize=(12.5, 4.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    roof, windows = figure.subplots(1, 2, width_ratios=[1.5, 1])
    ceilings = figures.ceilings
    ridge = ceilings.product_flops_s / ceilings.copy_bytes_s
    intensity = np.geomspace(min(0.05, ridge / 10), ridge * 30, 100)
    best = np.minimum(intensity * ceilings.copy_bytes_s, ceilings.product_flops_s)
    roof.plot(intensity, best / 1e9, color="0.3", label="copy and matrix product, measured")
    names = list(dict.fromkeys(cost.stage for cost in figures.stages))
    sides = [cost.side_px for cost in figures.windows]
    for cost in figures.stages:
        colour = COLOURS[names.index(cost.stage) % len(COLOURS)]
        mark = MARKS[sides.index(cost.side_px) % len(MARKS)] if cost.side_px in sides else "*"
        label = f"{cost.stage}, {cost.side_px} px: {cost.share(ceilings):.0%} of the limit"
        roof.plot(cost.flops / cost.bytes, cost.flops / cost.seconds / 1e9, mark, color=colour, label=label)
    roof.set(xscale="log", yscale="log", xlabel="operations a byte, counted", ylabel="Gflop/s")
    roof.set_title("Stages under the roof", fontsize=10)
    roof.legend(fontsize=7)
    places = np.arange(len(figures.windows))
    bars = (
        ("first picture, from nothing", [cost.first_picture_s for cost in figures.windows]),
        ("refined picture, from nothing", [cost.cold_s for cost in figures.windows]),
        ("a stride of 25 frames", [cost.stride_s for cost in figures.windows]),
        ("the paper's model, one epoch", [cost.paper_s or np.nan for cost in figures.windows]),
    )
    for number, (label, seconds) in enumerate(bars):
        windows.bar(places + 0.2 * (number - 1.5), seconds, 0.2, color=COLOURS[number], label=label)
    labels = [f"{cost.side_px} x {cost.side_px}\n{cost.frames} frames" for cost in figures.windows]
    windows.set_xticks(places, labels, fontsize=8)
    windows.set(yscale="log", ylabel="s")
    windows.set_title("Whole windows", fontsize=10)
    windows.legend(fontsize=7)
    figure.suptitle(f"Self-STORM live, {device}", fontsize=10)
    figure.savefig(path, format="png")
