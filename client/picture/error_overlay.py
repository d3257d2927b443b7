"""Error map drawn over the large picture, with its legend."""

from __future__ import annotations

from typing import Any

import numpy as np

from client.picture.error_map import error_range, error_table
from client.picture.field import PictureField
from client.picture.legend import Legend
from client.picture.picture_item import PictureItem
from client.picture.pictures import Picture

TITLE = "Error map (photons)"
NONE_HERE = "No error map for this window"
NOT_YET = "The error map follows with the refined picture"


class ErrorOverlay:
    """Overlay of the error map. on: whether the user has switched it on."""

    def __init__(self, view: Any) -> None:
        self.on = False
        self.legend = Legend(view)
        self.item = PictureItem(view, see_through=True)
        self.item.setZValue(10)
        self.item.hide()
        view.addItem(self.item, ignoreBounds=True)
        self._table = error_table()

    @property
    def visible(self) -> bool:
        """True while a map is drawn."""
        return bool(self.item.isVisible())

    def set_map(self, picture: Picture | None, field: PictureField | None) -> None:
        """Set the map of the window on screen, None where it has none."""
        if picture is None or field is None:
            self.item.pixels = None
            return
        full_scale = error_range(picture.pixels)
        self.item.show_pixels(
            np.nan_to_num(picture.pixels, posinf=full_scale, neginf=-full_scale),
            (-full_scale, full_scale),
            self._table,
            field,
        )

    def arrange(self, split: float | None, *, preview: bool, wanted: bool) -> None:
        """Show the map and its legend, or say why there is none.

        Args:
            split: Position of the split line; the map is drawn to its right. None to draw all of it.
            preview: Whether the picture is a preview.
            wanted: Whether the display mode can show a map.
        """
        self.item.setVisible(self.on and wanted and self.item.pixels is not None)
        self.item.show_part(split)
        full_scale = self.item.levels[1]
        if self.visible:
            self.legend.explain(TITLE, self._table, (f"−{full_scale:g} too dim", f"+{full_scale:g} too bright"))
        elif self.on and wanted:
            self.legend.explain(NOT_YET if preview else NONE_HERE)
        else:
            self.legend.hide()
