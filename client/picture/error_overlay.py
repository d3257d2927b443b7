"""The error map laid over the large picture, with its legend, while somebody asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from client.picture.error_map import error_range, error_table
from client.picture.field import PictureField
from client.picture.legend import Legend
from client.picture.picture_item import PictureItem
from client.picture.pictures import Picture

TITLE = "Error map (photons)"
NONE_HERE = "No error map of this window"
NOT_YET = "The error map comes with the refined picture"


class ErrorOverlay:
    """on: whether it is asked for. visible: whether there is one to show as well."""

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
        """Whether a map is drawn."""
        return bool(self.item.isVisible())

    def take(self, picture: Picture | None, field: PictureField | None) -> None:
        """The map of the window looked at; None where it has none."""
        if picture is None or field is None:
            self.item.pixels = None
            return
        most = error_range(picture.pixels)
        self.item.show_pixels(
            np.nan_to_num(picture.pixels, posinf=most, neginf=-most), (-most, most), self._table, field
        )

    def arrange(self, split: float | None, *, preview: bool, wanted: bool) -> None:
        """Draw it right of a line; without a map, say so. preview: whether the picture is one.

        wanted: whether the picture is shown in a way that bears it.
        """
        self.item.setVisible(self.on and wanted and self.item.pixels is not None)
        self.item.show_part(split)
        most = self.item.levels[1]
        if self.visible:
            self.legend.explain(TITLE, self._table, (f"−{most:g} too dim", f"+{most:g} too bright"))
        elif self.on and wanted:
            self.legend.explain(NOT_YET if preview else NONE_HERE)
        else:
            self.legend.hide()
