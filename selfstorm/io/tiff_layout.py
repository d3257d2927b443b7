"""Layout of a TIFF: the position of each page on the recording's axes.

The kind of file decides where the positions are read:

OME-TIFF, also in several files or with a companion     by its XML
Micro-Manager's stacks, in one file or several          by their index maps
ImageJ's hyperstacks, tifffile's shaped files           by the first description
everything else                                         all pages of the usual kind, along time
"""

from __future__ import annotations

from pathlib import Path

import tifffile

from selfstorm.errors import MovieError
from selfstorm.io.page_layout import Layout
from selfstorm.io.tiff_layout_chain import lay_out_chain
from selfstorm.io.tiff_layout_micromanager import index_map_of, lay_out_by_tags, lay_out_micromanager
from selfstorm.io.tiff_layout_ome import lay_out_ome, ome_root
from selfstorm.io.tiff_pages import page_table


def layout_of(file: tifffile.TiffFile, path: Path) -> Layout:
    """Find the layout of an open TIFF. Raises MovieError where there is none."""
    table = page_table(file)
    if not table:
        raise MovieError("holds no image", where=path, hint="give a TIFF stack of camera frames")
    if (index_map := index_map_of(file)) is not None:
        return lay_out_micromanager(file, path, table, index_map)
    if (root := ome_root(file, path)) is not None:
        return lay_out_ome(file, path, table, root)
    return lay_out_by_tags(file, path, table) or lay_out_chain(file, path, table)
