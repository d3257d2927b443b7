"""Pictures of a benchmark side by side, each with an enlarged part below.

The truth, the widefield mean and every method. All are blurred as for the scores, so that the truth and a picture of
single bright cells can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter, uniform_filter

from benchmarks.comparison import MethodResult
from benchmarks.methods import three_digits
from selfstorm.frames import Array
from selfstorm.metrics.ground_truth import FINE_NM, render

PANELS_A_ROW = 7
PANEL_INCH, TEXT_INCH, DPI = 2.1, 0.75, 130
COLOURS = "inferno"
WHITE_QUANTILE = 0.997
BLUR_NM = 20.0  # as for the scores
ENLARGED = 4
BARS_NM = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
INK, PAPER, FRAME = "white", "#14141a", "#5fd3ff"


@dataclass(frozen=True)
class Panel:
    """A picture of the field and its captions.

    Attributes:
        picture: (rows, columns).
        title: caption above.
        words: caption below.
    """

    picture: Array
    title: str
    words: str


def write_figure(
    path: Path, results: Sequence[MethodResult], truth_yx_nm: Array, field_nm: tuple[float, float]
) -> None:
    """Write the PNG.

    Args:
        path: of the file.
        results: to draw.
        truth_yx_nm: (N, 2) emitters.
        field_nm: (height, width).
    """
    cells = (round(field_nm[0] / FINE_NM), round(field_nm[1] / FINE_NM))
    truth = _blurred(render(truth_yx_nm, cells, FINE_NM), FINE_NM)
    panels = [Panel(truth, "truth", f"{len(truth_yx_nm)} emitters\n(all blurred by {BLUR_NM:.0f} nm)")]
    for result in sorted(results, key=lambda r: r.method != "widefield"):
        panels.append(Panel(_blurred(result.made.picture, result.made.pitch_nm), result.made.label, _words(result)))
    columns = min(PANELS_A_ROW, len(panels))
    lines = -(-len(panels) // columns)
    size = columns * PANEL_INCH, lines * (2 * PANEL_INCH * field_nm[0] / field_nm[1] + TEXT_INCH)
    figure = Figure(figsize=size, dpi=DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * lines, columns, squeeze=False)
    part = densest_part(truth_yx_nm, field_nm)
    for index in range(lines * columns):
        line, column = divmod(index, columns)
        whole, enlarged = axes[2 * line, column], axes[2 * line + 1, column]
        whole.set_axis_off()
        enlarged.set_axis_off()
        if index < len(panels):
            _draw(whole, enlarged, panels[index], field_nm, part)
    figure.savefig(path, format="png", facecolor=PAPER)


def densest_part(yx_nm: Array, field_nm: tuple[float, float]) -> tuple[float, float, float]:
    """Find the square with most emitters.

    Its side is a quarter of the field's shorter side.

    Args:
        yx_nm: (N, 2) emitters.
        field_nm: (height, width).

    Returns:
        Top, left and side, nm.
    """
    side = min(field_nm) / ENLARGED
    step = side / 8
    cells = max(1, int(field_nm[0] / step)), max(1, int(field_nm[1] / step))
    crowd = uniform_filter(render(yx_nm, cells, step), 8, mode="constant")
    top, left = (
        float(np.clip(place * step - side / 2, 0, length - side))
        for place, length in zip(np.unravel_index(crowd.argmax(), crowd.shape), field_nm, strict=True)
    )
    return top, left, side


def _blurred(picture: Array, pitch_nm: float) -> Array:
    return np.asarray(gaussian_filter(np.nan_to_num(picture), BLUR_NM / pitch_nm))


def _words(result: MethodResult) -> str:
    score = result.score
    scores = "nothing to score" if score is None else f"r {score.pearson:.3f}  SSIM {score.ssim:.2f}"
    resolution = "" if score is None else f"FRC {score.gt_frc_nm:.0f} nm  "
    return f"{scores}\n{resolution}{three_digits(result.made.took.seconds)} s"


def _draw(
    whole: Axes, enlarged: Axes, panel: Panel, field_nm: tuple[float, float], part: tuple[float, float, float]
) -> None:
    """Draw a picture and its enlarged part.

    In nm from the corner of the first camera pixel.
    """
    height, width = field_nm
    top, left, side = part
    black, white = float(panel.picture.min()), float(np.quantile(panel.picture, WHITE_QUANTILE))
    for ax in (whole, enlarged):
        ax.imshow(
            panel.picture,
            cmap=COLOURS,
            vmin=black,
            vmax=max(white, black + 1e-12),
            extent=(0, width, height, 0),
        )
    whole.set_title(panel.title, color=INK, fontsize=8)
    whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=FRAME, linewidth=0.8))
    scale_bar(whole, 0, height, width)
    enlarged.set_xlim(left, left + side)
    enlarged.set_ylim(top + side, top)
    scale_bar(enlarged, left, top + side, side)
    enlarged.text(0.5, -0.03, panel.words, color=INK, fontsize=7, ha="center", va="top", transform=enlarged.transAxes)


def scale_bar(ax: Axes, left_nm: float, bottom_nm: float, width_nm: float) -> None:
    """Draw a bar of a round length at the bottom left.

    It is about a quarter of the width.
    """
    length = min(BARS_NM, key=lambda bar: abs(bar - width_nm / 4))
    x, y = left_nm + 0.05 * width_nm, bottom_nm - 0.06 * width_nm
    ax.plot([x, x + length], [y, y], color=INK, linewidth=2, solid_capstyle="butt")
    text = f"{length / 1000:g} µm" if length >= 1000 else f"{length} nm"
    ax.text(x, y - 0.03 * width_nm, text, color=INK, fontsize=6)
