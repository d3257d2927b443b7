"""TIFF files made page by page, and what is read from them."""

import re
from pathlib import Path

import numpy as np
import tifffile

from selfstorm.io.movies import MovieFile

RNG = np.random.default_rng(3)
FRAMES = RNG.integers(100, 4000, (20, 24, 24), dtype=np.uint16)


def write_pages(path: Path, pages, **common):
    """Each page with options of its own."""
    with tifffile.TiffWriter(path) as writer:
        for pixels, options in pages:
            merged = {"metadata": None, "contiguous": False, "photometric": "minisblack", **common, **options}
            writer.write(pixels, **merged)


def read(path: Path, **select):
    """(frames, their numbers, left-out pages named in notes, notes)."""
    with MovieFile(path, select) as movie:
        numbers = [movie.stamp(index).number for index in range(movie.length)]
        return movie.frames(), numbers, named(movie.notes), movie.notes


def named(notes) -> set[int]:
    pages: set[int] = set()
    for note in notes:
        if found := re.search(r"pages? ([\d, -]+) left out", note):
            for part in found[1].split(", "):
                first, _, last = part.strip().partition("-")
                pages |= set(range(int(first), int(last or first) + 1))
    return pages
