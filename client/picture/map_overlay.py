"""Error map or trust map drawn over the large picture, with its legend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.picture.error_map import error_range, error_table
from client.picture.field import PictureField
from client.picture.legend import Legend
from client.picture.picture_item import PictureItem
from client.picture.pictures import Picture
from client.picture.trust_map import RANGE, trust_pixels, trust_table
from selfstorm.frames import Array

Range = tuple[float, float]


@dataclass(frozen=True)
class MapStyle:
    """Style that a kind of map is drawn in.

    Attributes:
        title: Of the legend.
        missing: Said where a window has no map.
        waiting: Said with a preview.
        table: (N,) uint32 0xAARRGGBB.
        scaled: Returns finite pixels and the values of the first and last colour.
        ends: Labels of both ends of the legend.
    """

    title: str
    missing: str
    waiting: str
    table: Callable[[], Array]
    scaled: Callable[[Array], tuple[Array, Range]]
    ends: Callable[[Range], tuple[str, str]]


def _scaled_error(pixels: Array) -> tuple[Array, Range]:
    full_scale = error_range(pixels)
    return np.nan_to_num(pixels, posinf=full_scale, neginf=-full_scale), (-full_scale, full_scale)


ERROR = MapStyle(
    "Error map (photons)",
    "No error map for this window",
    "The error map follows with the refined picture",
    error_table,
    _scaled_error,
    lambda levels: (f"−{levels[1]:g} too dim", f"+{levels[1]:g} too bright"),
)
TRUST = MapStyle(
    "Trust map: do two halves of the frames agree?",
    "No trust map for this window",
    "The trust map follows with the refined picture",
    trust_table,
    lambda pixels: (trust_pixels(pixels), RANGE),
    lambda _: ("grey: not compared, violet: differ", "clear: agree"),
)


class MapOverlay:
    """Overlay of a map. on: whether the user has switched it on."""

    def __init__(self, view: Any, style: MapStyle) -> None:
        self.on = False
        self.legend = Legend(view)
        self.item = PictureItem(view, see_through=True)
        self.item.setZValue(10)
        self.item.hide()
        view.addItem(self.item, ignoreBounds=True)
        self._style, self._table = style, style.table()

    @property
    def visible(self) -> bool:
        """True while a map is drawn."""
        return bool(self.item.isVisible())

    def set_map(self, picture: Picture | None, field: PictureField | None) -> None:
        """Set the map of the window on screen, None where it has none."""
        if picture is None or field is None:
            self.item.pixels = None
            return
        pixels, levels = self._style.scaled(picture.pixels)
        self.item.show_pixels(pixels, levels, self._table, field)

    def arrange(self, split: float | None, *, preview: bool, wanted: bool) -> None:
        """Show the map and its legend, or say why there is none.

        Args:
            split: Position of the split line; the map is drawn to its right. None to draw all of it.
            preview: Whether the picture is a preview.
            wanted: Whether the display mode can show a map.
        """
        self.item.setVisible(self.on and wanted and self.item.pixels is not None)
        self.item.show_part(split)
        if self.visible:
            self.legend.explain(self._style.title, self._table, self._style.ends(self.item.levels))
        elif self.on and wanted:
            self.legend.explain(self._style.waiting if preview else self._style.missing)
        else:
            self.legend.hide()
