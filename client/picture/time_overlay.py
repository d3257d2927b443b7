"""Colour-coded time drawn instead of the large picture, with its legend."""

from __future__ import annotations

import math
from typing import Any

from client.picture.contrast import Contrast
from client.picture.field import PictureField
from client.picture.legend import Legend
from client.picture.picture_item import PictureItem
from client.picture.pictures import PicturePair
from client.picture.rasterise import Crop, reduced
from client.picture.time_code import Levels, blended, brightness, span_text, time_colours, time_tables
from selfstorm.frames import Array

MAX_BLENDED = 3_000_000  # values blended per drawing: about 20 ms


def block_px(windows: int, screen_area_px: float) -> float:
    """Choose the side of a block in screen pixels.

    At most MAX_BLENDED values are then blended.
    """
    return max(1.0, math.sqrt(windows * screen_area_px / MAX_BLENDED))


class TimeItem(PictureItem):
    """Blend of several pictures at the screen's resolution.

    It is coarser where there are many pictures.
    """

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self._pictures: tuple[Array, ...] = ()
        self._levels: tuple[Levels, ...] = ()
        self._bright: dict[tuple[int, Levels], Array] = {}  # by identity: the pictures are read-only and kept here
        self._bright_of: Crop | None = None

    def show_windows(
        self, pictures: tuple[Array, ...], levels: tuple[Levels, ...], tables: Array, field: PictureField
    ) -> None:
        """Set the pictures (H, W) to blend, oldest first.

        Each has its levels and its lookup table.
        """
        self._pictures, self._levels, known = pictures, levels, {id(one) for one in pictures}
        self._bright = {key: bright for key, bright in self._bright.items() if key[0] in known}
        self.show_pixels(pictures[-1], levels[-1], tables, field)

    def forget(self) -> None:
        """Release all pictures."""
        self._pictures, self._bright, self.pixels, self.image = (), {}, None, None

    def _min_block_px(self) -> float:
        seen = self._view.rect()
        return block_px(len(self._pictures), seen.width() * seen.height())

    def _colour(self, crop: Crop, _pixels: Array, table: Array) -> Array:
        known = self._bright if crop == self._bright_of else {}
        self._bright, self._bright_of = {}, crop
        for one, levels in zip(self._pictures, self._levels, strict=True):
            bright = known.get((id(one), levels))
            self._bright[id(one), levels] = brightness(reduced(one, crop), levels) if bright is None else bright
        return blended(self._bright.values(), table)


class TimeOverlay:
    """Overlay of colour-coded time.

    Attributes:
        pairs: Windows drawn, oldest first; empty while the overlay is off.
    """

    def __init__(self, view: Any) -> None:
        self.pairs: tuple[PicturePair, ...] = ()
        self._levels: dict[PicturePair, tuple[Contrast, Levels]] = {}
        self.legend = Legend(view)
        self.item = TimeItem(view)
        self.item.setZValue(5)
        self.item.hide()
        view.addItem(self.item, ignoreBounds=True)

    def draw(self, contrast: Contrast, field: PictureField | None) -> None:
        """Draw the windows.

        Each has its own levels unless the contrast is locked.

        A window of another kind, or a bleached one, is thus as bright as the others.
        """
        self.item.setVisible(bool(self.pairs) and field is not None)
        if not self.pairs or field is None:
            self.item.forget()
            self._levels = {}
            self.legend.hide()
            return
        count = len(self.pairs)
        pictures = tuple(pair.sr.pixels for pair in self.pairs)
        self._levels = {
            pair: (contrast, self._known_levels(pair, contrast) or contrast.levels(pair.sr.pixels))
            for pair in self.pairs
        }
        levels = tuple(levels for _, levels in self._levels.values())
        self.item.show_windows(pictures, levels, time_tables(count, contrast.gamma), field)
        if count > 1:
            title = f"Colour: time, {count} windows; white is static"
            self.legend.explain(title, time_colours(256), (span_text(self.pairs), f"window {self.pairs[-1].window[1]}"))
        else:
            self.legend.explain("Colour: time; one window so far")

    def _known_levels(self, pair: PicturePair, contrast: Contrast) -> Levels | None:
        known_for, levels = self._levels.get(pair, (None, None))
        return levels if known_for == contrast else None
