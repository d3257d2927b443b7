"""Report of a benchmark: table, Markdown page and JSON.

With the machine and the versions it ran on.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison import MethodResult, reference
from benchmarks.methods import Task, three_digits
from selfstorm.compute.device import describe

UNKNOWN = "-"
Numbers = dict[str, float | None]


def numbers(result: MethodResult, ours: MethodResult | None, frames: int) -> Numbers:
    """Collect every figure of a result.

    Args:
        result: of a method.
        ours: our result, which differences and ratios refer to.
        frames: of the movie.

    Returns:
        Figures by name; None for those it does not have.
    """
    score, found, took = result.score, result.found, result.made.took
    figures: Numbers = {
        "pearson": score.pearson if score else None,
        "psnr_db": score.psnr_db if score else None,
        "ssim": score.ssim if score else None,
        "gt_frc_nm": score.gt_frc_nm if score else None,
        "jaccard": found.jaccard if found else None,
        "rmse_nm": found.rmse_nm if found and found.jaccard else None,
        "seconds": took.seconds,
        "cpu_seconds": took.cpu_seconds,
        "frames_per_second": frames / took.seconds,
        "time_to_ours": took.seconds / ours.made.took.seconds if ours else None,
        "cpu_time_to_ours": took.cpu_seconds / max(ours.made.took.cpu_seconds, 1e-6) if ours else None,
    }
    for name in ("pearson", "psnr_db", "ssim", "gt_frc_nm"):
        both = score is not None and ours is not None and ours.score is not None
        figures[f"{name}_minus_ours"] = getattr(score, name) - getattr(ours.score, name) if both and ours else None
    return figures


_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("Pearson", "pearson", "{:.4f}".format),
    ("PSNR dB", "psnr_db", "{:.2f}".format),
    ("SSIM", "ssim", "{:.3f}".format),
    ("FRC nm", "gt_frc_nm", "{:.0f}".format),
    ("Jaccard", "jaccard", "{:.3f}".format),
    ("RMSE nm", "rmse_nm", "{:.1f}".format),
    ("time s", "seconds", three_digits),
    ("CPU s", "cpu_seconds", three_digits),
    ("frames/s", "frames_per_second", three_digits),
    ("time / ours", "time_to_ours", "{:.2g}x".format),
    ("Pearson - ours", "pearson_minus_ours", "{:+.3f}".format),
)


def table(results: Sequence[MethodResult], frames: int) -> list[list[str]]:
    """Return a header and a row per result."""
    ours = reference(results)
    rows = [["method", *(title for title, _, _ in _COLUMNS)]]
    for result in results:
        figures = numbers(result, ours, frames)
        values = ((figures[key], form) for _, key, form in _COLUMNS)
        rows.append([result.made.label, *(UNKNOWN if v is None else form(v) for v, form in values)])
    return rows


def aligned(rows: list[list[str]], between: str = "  ") -> list[str]:
    """Format rows as lines of columns, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        between.join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def account(task: Task, movie: dict[str, Any], results: Sequence[MethodResult]) -> dict[str, Any]:
    """Collect everything for JSON.

    Args:
        task: input of the methods.
        movie: name, sha256 and other facts.
        results: of the methods.
    """
    frames, height, width = task.raw.shape
    settings = {**asdict(task.settings), "psf": str(task.settings.psf) if task.settings.psf else None}
    ours = reference(results)
    return {
        "movie": {**movie, "frames": frames, "height": height, "width": width},
        "settings": {**settings, "paper_epochs": task.paper_epochs},
        "environment": environment(task.device),
        "results": [
            {
                "method": result.method,
                "label": result.made.label,
                "about": result.made.about,
                "pitch_nm": result.made.pitch_nm,
                **numbers(result, ours, frames),
            }
            for result in results
        ],
    }


def page(record: dict[str, Any], results: Sequence[MethodResult]) -> str:
    """Write the Markdown page: table, movie, machine and methods."""
    movie, machine = record["movie"], record["environment"]
    header, *rows = table(results, movie["frames"])
    lines = [
        f"# {movie['name']}",
        "",
        f"{movie['frames']} frames of {movie['width']} x {movie['height']} pixels of "
        f"{record['settings']['pixel_nm']:g} nm; sha256 {movie['sha256']}.",
        f"{machine['cpu']}, {machine['device']}; selfstorm {machine['selfstorm']}, torch {machine['torch']}, "
        f"numpy {machine['numpy']}, Python {machine['python']}, {machine['platform']}.",
        "",
        *_markdown(header, rows),
        "",
        "Pearson, PSNR, SSIM: against the emitters on a grid of 12.5 nm, both blurred by 20 nm, the best global shift "
        "removed. FRC: ground-truth resolution, 1/7. Jaccard, RMSE: localizations within 100 nm. Time: from raw frames "
        "to the picture, training and learning the optics included; where it is much longer than the CPU time on one "
        "thread, other programs ran too.",
        "",
        *(f"* **{result.made.label}**: {result.made.about}" for result in results),
        "",
        "![Every picture and a part of it enlarged](benchmark.png)",
    ]
    return "\n".join(lines) + "\n"


def stages_page(record: dict[str, Any], rows: list[list[str]]) -> str:
    """Write the Markdown page of the stages: table, machine and windows."""
    machine, ceilings = record["environment"], record["ceilings"]
    header, *body = rows
    windows = [["field", "first picture s", "refined s", "a stride of 25 s", "stage B frames/s", "paper, 1 epoch s"]]
    for cost in record["windows"]:
        values = (cost[key] for key in ("first_picture_s", "cold_s", "stride_s", "emitters_hz", "paper_s"))
        said = (UNKNOWN if value is None else three_digits(value) for value in values)
        windows.append([f"{cost['side_px']} px, {cost['frames']} frames", *said])
    lines = [
        f"# Stages on {machine['device']}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores; selfstorm {machine['selfstorm']}, torch {machine['torch']}, "
        f"Python {machine['python']}, {machine['platform']}. Measured in the same run: copy "
        f"{three_digits(ceilings['copy_bytes_s'] / 1e9)} GB/s, float32 matrix product "
        f"{three_digits(ceilings['product_flops_s'] / 1e9)} Gflop/s.",
        "",
        *_markdown(header, body),
        "",
        *_markdown(windows[0], windows[1:]),
        "",
        "![Stages under the roof of the device, and whole windows](stages.png)",
    ]
    return "\n".join(lines) + "\n"


def _markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, marks, *rows)]


def environment(device: torch.device) -> dict[str, Any]:
    """Describe the machine and the versions."""
    return {
        "selfstorm": version("selfstorm"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": describe(device),
    }


def _cpu_name() -> str:
    """Return the name of the processor, if the system gives one."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
