"""Films for talks, GIF or MP4: the windows as they are drawn.

Each frame has scale bar, grade, time and colour bar. All have the colours of the picture shown and one contrast, that
fits all windows unless it is locked, so that brightness can be compared from frame to frame.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6 import QtCore, QtGui, QtWidgets

from client.export.file_names import caption
from client.export.png_export import Figure, captioned
from client.picture.contrast import Contrast
from client.picture.field import field_of, length_text, round_length
from client.picture.grade import grade_text
from client.picture.pictures import PicturePair
from client.picture.rasterise import coloured
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.atomic_files import claim_temporary, publish

FRAMES_PER_S = 5
MIN_SIDE_PX = 512
BAR_SHARE, BAR_PX, MARGIN_PX = 0.28, 5, 14
DRAWN_ENDINGS = (".gif", ".mp4")
NOT_INSTALLED = 'pip install "selfstorm[movie]"'
Encoder = Generator[None, Array | None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Colours and contrast of all frames.

    Attributes:
        table: (N,) uint32 colours.
        contrast: Contrast of a picture alone; that of the film fits all.
        sample: Name of the sample, for the caption.
    """

    table: Array
    contrast: Contrast
    sample: str = ""


class DrawnMovie:
    """A film, written frame by frame.

    It has its name once it is complete.

    Args:
        path: Ends with .gif or .mp4.
        drawing: Colours and contrast.

    Attributes:
        levels: Values drawn darkest and brightest, of all pictures that `fit` was given.

    Raises:
        InputError: The package that writes such files is missing, or no file can be made there.
    """

    def __init__(self, path: Path, drawing: Drawing) -> None:
        self._path, self._drawing = path, drawing
        self.levels = (math.inf, -math.inf)
        encode = _gif if path.suffix.lower() == ".gif" else _mp4
        self._part = claim_temporary(path)
        self._frames = encode(self._part)
        try:
            next(self._frames)
        except ImportError as error:
            self.abandon()
            raise InputError(f"the package {error.name} is missing", hint=f"install it: {NOT_INSTALLED}") from None

    def fit(self, pair: PicturePair) -> None:
        """Widen the levels to those of a picture, before any is added."""
        low, high = self._drawing.contrast.levels(pair.sr.pixels)
        self.levels = min(low, self.levels[0]), max(high, self.levels[1])

    def add(self, pair: PicturePair, *, marked: bool) -> None:
        """Append the picture of a window."""
        self._frames.send(_rgb(drawn(pair, self._drawing, self.levels, marked=marked)))

    def close(self) -> None:
        """Finish the file under its name."""
        with contextlib.suppress(StopIteration):
            self._frames.send(None)
        publish(self._part, self._path, overwrite=True)  # the dialog asked

    def abandon(self) -> None:
        """Remove the unfinished file."""
        self._frames.close()
        self._part.unlink(missing_ok=True)


def drawn(pair: PicturePair, drawing: Drawing, levels: tuple[float, float], *, marked: bool = False) -> QtGui.QImage:
    """Draw the picture of a window as a frame of a film."""
    colours = np.ascontiguousarray(coloured(pair.sr.pixels, levels, drawing.table))
    height, width = colours.shape
    zoom = -(-MIN_SIDE_PX // min(height, width)) if min(height, width) < MIN_SIDE_PX else 1
    picture = QtGui.QImage(colours.data, width, height, 4 * width, QtGui.QImage.Format.Format_RGB32)
    picture = picture.scaled(width * zoom, height * zoom)  # a copy, of whole pixels
    _annotate(picture, pair)
    text = caption(pair, drawing.sample) + ("  ·  marked" if marked else "")
    return captioned(picture, Figure(text, drawing.table, levels, pair.sr.unit, ""))


def _annotate(picture: QtGui.QImage, pair: PicturePair) -> None:
    """Draw the scale bar and the grade into a picture."""
    field, align = field_of(pair), QtCore.Qt.AlignmentFlag
    length = round_length(BAR_SHARE * field.width)
    bar = QtCore.QRect(0, 0, round(length / field.width * picture.width()), BAR_PX)
    bar.moveBottomRight(QtCore.QPoint(picture.width() - MARGIN_PX, picture.height() - MARGIN_PX))
    painter = QtGui.QPainter(picture)
    font = QtWidgets.QApplication.font()
    font.setBold(True)
    painter.setFont(font)
    line_px = painter.fontMetrics().height()
    above = QtCore.QRect(bar.left() - MARGIN_PX, bar.top() - line_px, bar.width() + 2 * MARGIN_PX, line_px)
    painter.fillRect(above.united(bar.adjusted(0, 0, 0, 4)), QtGui.QColor(0, 0, 0, 130))
    painter.fillRect(bar, QtGui.QColor("white"))
    painter.setPen(QtGui.QColor("white"))
    painter.drawText(above, align.AlignCenter, length_text(length, field.unit))
    if grade := grade_text(pair):
        badge = painter.fontMetrics().boundingRect(grade).adjusted(-8, -3, 8, 3)
        badge.moveTopLeft(QtCore.QPoint(MARGIN_PX, MARGIN_PX))
        painter.fillRect(badge, QtGui.QColor(0, 0, 0, 190))
        painter.drawText(badge, align.AlignCenter, grade)
    painter.end()


def _rgb(image: QtGui.QImage) -> Array:
    """Return an image as (H, W, 3) uint8; sides even, as for video."""
    image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return pixels[: image.height() // 2 * 2, : image.width() // 2 * 2].copy()


def _gif(path: Path) -> Encoder:
    """Write an animated GIF of the frames that are sent, until None."""
    from PIL import Image

    frames = []
    while (frame := (yield)) is not None:
        frames.append(Image.fromarray(frame).quantize())
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=1000 // FRAMES_PER_S, loop=0)


def _mp4(path: Path) -> Encoder:
    """Write an H.264 film of the frames that are sent, until None."""
    from imageio_ffmpeg import write_frames

    encoder = None
    try:
        while (frame := (yield)) is not None:
            if encoder is None:
                size = frame.shape[1], frame.shape[0]
                encoder = write_frames(
                    str(path), size, fps=FRAMES_PER_S, macro_block_size=2, output_params=["-f", "mp4"]
                )
                encoder.send(None)
            encoder.send(frame)
    finally:
        if encoder is not None:
            encoder.close()
