"""Positions of a TIFF's pages on the recording's axes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfstorm.io import ome_xml
from selfstorm.io.left_out_pages import Index, LeftOut

TOGETHER = "keep the files of a stack together in one folder"


@dataclass(slots=True)
class Layout:
    """Pages by their position on the axes (name, size).

    A position without a page is a frame that was lost.
    """

    axes: list[tuple[str, int]]
    pages: dict[Index, Any]
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    image: ome_xml.OmeImage | None = None
    paths: tuple[Path, ...] = ()
