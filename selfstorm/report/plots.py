"""Figures of a report as PNG: pictures with scale bars, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from selfstorm.frames import Array
from selfstorm.metrics.metric import Metric
from selfstorm.metrics.registry import METRICS
from selfstorm.report.evidence import WindowRecord
from selfstorm.stream.drift import DriftCurve

DPI, MM = 250, 1 / 25.4
PAGE_MM = 174.0
CONTRAST_PERCENT = 99.8  # the display range ends there: few bright cells would leave the rest dark
INK, MUTED, BLUE, ORANGE = "#1b1f24", "#57606a", "#0072b2", "#d55e00"  # told apart by all eyes (Okabe and Ito)
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
}
BAR_STEPS = (1.0, 2.0, 5.0)
MAX_PLOTS, PLOT_COLUMNS = 12, 3


def pictures_png(shown: Sequence[tuple[str, Array, float | None, str, str]]) -> bytes:
    """Draw pictures side by side.

    Args:
        shown: Of each its title, (H, W) values, pixel in nm (None where it is unknown), unit and colour map.
    """
    with mpl.rc_context(STYLE):
        height, width = shown[0][1].shape
        panel_mm = PAGE_MM / len(shown)
        figure = Figure((PAGE_MM * MM, (0.78 * panel_mm * height / width + 8) * MM), dpi=DPI, layout="constrained")
        for axes, one in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
            _picture(figure, axes, *one)
        return _png(figure)


def display_range(values: Array) -> tuple[float, float]:
    """Return the values that are drawn black and brightest."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, (0.1, CONTRAST_PERCENT)))
    return low, high if high > low else low + 1.0


def bar_length_nm(width_nm: float) -> float:
    """Choose a round length of about a fifth of the field."""
    power = 10 ** np.floor(np.log10(width_nm / 4))
    return float(max(step * power for step in BAR_STEPS if step * power <= width_nm / 4))


def length_text(nm: float) -> str:
    """Write a length: '500 nm', '2 µm'."""
    return f"{nm / 1000:g} µm" if nm >= 1000 else f"{nm:g} nm"


def _picture(
    figure: Figure, axes: Any, title: str, values: Array, pixel_nm: float | None, unit: str, colours: str
) -> None:
    low, high = display_range(values)
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02, extend="both")
    bar.outline.set_linewidth(0.4)
    bar.set_label(unit, color=MUTED)
    if pixel_nm:
        height, width = values.shape
        length_nm = bar_length_nm(width * pixel_nm)
        right, y = 0.95 * width, 0.94 * height
        left = right - length_nm / pixel_nm
        axes.plot([left, right], [y, y], color="white", linewidth=2.4, solid_capstyle="butt")
        place = (left + right) / 2, y - 0.025 * height
        axes.text(*place, length_text(length_nm), color="white", ha="center", va="bottom", fontweight="bold")


def trends_png(windows: Sequence[WindowRecord]) -> bytes | None:
    """Draw each metric of the pictures over their frames.

    Returns None where there are fewer than two pictures.
    """
    keys = [metric for metric in METRICS if sum(metric.key in window.metrics for window in windows) > 1]
    varying = [metric for metric in keys if _values(metric, windows).std() > 0][:MAX_PLOTS]
    if not varying:
        return None
    with mpl.rc_context(STYLE):
        rows = -(-len(varying) // PLOT_COLUMNS)
        figure = Figure((PAGE_MM * MM, 36 * rows * MM), dpi=DPI, layout="constrained")
        places = figure.subplots(rows, PLOT_COLUMNS, squeeze=False).ravel()
        last = np.array([window.last for window in windows], float)
        for axes, metric in zip(places, varying, strict=False):
            values = _values(metric, windows)
            axes.plot(last, values, color=BLUE, marker="o" if len(last) < 40 else None, markersize=2.5)
            axes.set_title(_title(metric))
            axes.set_xlabel("last frame")
            _thresholds(axes, metric, values)
        for axes in places[len(varying) :]:
            axes.set_axis_off()
        return _png(figure)


def _values(metric: Metric, windows: Sequence[WindowRecord]) -> Array:
    factor = {"%": 100.0, "ms": 1e-3}.get(metric.unit, 1.0)
    known = [window.metrics.get(metric.key, np.nan) for window in windows]
    values = factor * np.array(known, float)
    return values if np.isnan(values).all() else np.where(np.isnan(values), np.nanmean(values), values)


def _title(metric: Metric) -> str:
    return f"{metric.label} (s)" if metric.unit == "ms" else metric.title


def _thresholds(axes: Any, metric: Metric, values: Array) -> None:
    """Draw the threshold of a warning where the values come near it."""
    if metric.warn is None:
        return
    warn = metric.warn * {"%": 100.0, "ms": 1e-3}.get(metric.unit, 1.0)
    if values.min() <= 1.2 * warn and values.max() >= 0.8 * warn:
        axes.axhline(warn, color=ORANGE, linewidth=0.7, linestyle="--")


def drift_png(curve: DriftCurve) -> bytes:
    """Draw the drift along x and y over the frames, and its path."""
    with mpl.rc_context(STYLE):
        figure = Figure((PAGE_MM * MM, 52 * MM), dpi=DPI, layout="constrained")
        over, path = figure.subplots(1, 2, width_ratios=(2, 1))
        for axis, colour, name in ((1, BLUE, "x"), (0, ORANGE, "y")):
            over.plot(curve.frame, curve.yx_nm[:, axis], color=colour, label=name)
        over.set_xlabel("frame")
        over.set_ylabel("drift (nm)")
        over.legend(loc="best")
        path.plot(curve.yx_nm[:, 1], curve.yx_nm[:, 0], color=MUTED, linewidth=0.8)
        dots = path.scatter(curve.yx_nm[:, 1], curve.yx_nm[:, 0], c=curve.frame, cmap="viridis", s=8, zorder=3)
        figure.colorbar(dots, ax=path, label="frame")
        path.set_xlabel("x (nm)")
        path.set_ylabel("y (nm)")
        path.set_aspect("equal", "datalim")
        path.invert_yaxis()
        return _png(figure)


def localizations_png(frame: Array, photons: Array, sd_nm: Array, repeated_nm: float | None) -> bytes:
    """Draw localizations per frame, and histograms of their properties.

    Args:
        frame: (N,) of the localizations.
        photons: (N,).
        sd_nm: (N,) claimed precision.
        repeated_nm: Precision by NeNA; None where it is not known.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((PAGE_MM * MM, 50 * MM), dpi=DPI, layout="constrained")
        over, light, precision = figure.subplots(1, 3)
        edges = np.linspace(frame.min(), frame.max() + 1, min(int(np.ptp(frame)) + 1, 60) + 1)
        counts = np.histogram(frame, edges)[0] / np.diff(edges)
        over.plot((edges[1:] + edges[:-1]) / 2, counts, color=BLUE)
        over.set_ylim(0)
        over.set_xlabel("frame")
        over.set_title("Localizations per frame")
        _histogram(light, photons, "Photons of a localization")
        _histogram(precision, sd_nm, "Precision (nm)")
        claimed = float(np.nanmedian(sd_nm))
        precision.axvline(claimed, color=INK, linewidth=0.8, label=f"claimed, median {claimed:.1f}")
        if repeated_nm is not None:
            precision.axvline(repeated_nm, color=ORANGE, linewidth=0.8, linestyle="--", label=f"NeNA {repeated_nm:.1f}")
        precision.set_ylim(0, 1.35 * precision.get_ylim()[1])
        precision.legend(loc="upper right")
        return _png(figure)


def brightness_png(frames: Array, brightness: Array) -> bytes:
    """Draw the mean brightness of camera frames."""
    with mpl.rc_context(STYLE):
        figure = Figure((PAGE_MM * MM, 38 * MM), dpi=DPI, layout="constrained")
        axes = figure.subplots()
        axes.plot(frames, brightness, color=BLUE)
        axes.set_xlabel("frame")
        axes.set_ylabel("mean of the field (ADU)")
        return _png(figure)


def _histogram(axes: Any, values: Array, title: str) -> None:
    known = values[np.isfinite(values)]
    if len(known):
        axes.hist(known, np.linspace(0, np.percentile(known, 99), 50), color=BLUE, alpha=0.75)
    axes.set_title(title)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", facecolor="white", metadata={"Software": ""})
    return drawn.getvalue()
