"""TIFF in all its dialects.

Plain stacks, OME-TIFF, ImageJ, Micro-Manager's stacks in one file or several.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io import micromanager_tags
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.page_layout import Layout
from selfstorm.io.pixel_size import square_pixel, stated_pixel_size
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field
from selfstorm.io.tiff_layout import layout_of
from selfstorm.io.tiff_open import COPY_AGAIN, as_movie_error, open_tiff
from selfstorm.io.tiff_pages import check_whole, kind_of

TAG = "MicroManagerMetadata"
MAX_COMPRESSION = 100_000  # ratio; an empty frame comes close


class TiffReader:
    """The movie in a TIFF; see Reader.

    Its frames are numbered by their position on the movie's axis.
    """

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        self._file = open_tiff(path)
        self._open = self._file.filehandle
        try:
            with as_movie_error(path):
                self._describe(select)
        except BaseException:
            self.close()
            raise

    def _describe(self, select: Selection) -> None:
        """Find the movie's frames and their metadata."""
        path = self._path
        layout = layout_of(self._file, path)
        if not layout.pages:
            raise MovieError("holds no image", where=path, hint="give a TIFF stack of camera frames")
        kind = kind_of(next(iter(layout.pages.values())))
        if kind.colour or kind.planes != 1:
            what = "is a colour (RGB) image" if kind.colour else f"has pages of {kind.planes} planes"
            raise MovieError(what, where=path, hint="give the camera's own grey values, one channel per frame")
        places = self._places(layout, select)
        self._pages = [layout.pages[place] for place, _ in places]
        check_whole(self._pages, MAX_COMPRESSION, COPY_AGAIN)
        self._numbers = [number for _, number in places]
        self.paths, self.length = layout.paths or (path,), len(self._pages)
        self.height, self.width = kind.height, kind.width
        stored = np.dtype(self._pages[0].dtype or "V1")
        check_field(path, self.height, self.width, f"{kind.bits}-bit" if kind.bits < 8 else stored)
        self.dtype = stored
        size = layout.image.pixel_size if layout.image else None
        self.pixel_nm, doubts = square_pixel(size if size and size.plausible else stated_pixel_size(self._file))
        self.notes = (*layout.notes, *map(str, layout.left_out), *doubts)
        self.left_out = tuple(layout.left_out)
        self._times_ms = self._plane_times(layout, [place for place, _ in places])
        tags = self._tags(0)
        self._begin_unix_ms = micromanager_tags.received_unix_ms(tags)
        interval_ms = layout.image.interval_ms if layout.image else None
        rate_hz = 1000 / interval_ms if interval_ms and interval_ms > 0 else self._imagej_rate_hz()
        self.acquisition = micromanager_tags.acquisition(tags) if tags else AcquisitionInfo(rate_hz=rate_hz)

    def _places(self, layout: Layout, select: Selection) -> list[tuple[tuple[int, ...], int]]:
        """List the positions of the movie's frames that have a page.

        Returns positions and numbers along the movie's axis.
        """
        wide = [at for at, (_, size) in enumerate(layout.axes) if size > 1]
        chosen = movie_axis([layout.axes[at] for at in wide], select, self._path)
        index: list[int | slice] = [0] * len(layout.axes)
        for at, place in zip(wide, chosen, strict=True):
            index[at] = place
        movie = next(at for at, place in enumerate(index) if isinstance(place, slice))
        places = sorted(
            (place[movie], place)
            for place in layout.pages
            if all(isinstance(want, slice) or place[at] == want for at, want in enumerate(index))
        )
        if len(places) < 2:
            raise MovieError("is one image", where=self._path, hint="give a movie: many frames of one field")
        return [(place, number) for number, place in places]

    def _plane_times(self, layout: Layout, places: list[tuple[int, ...]]) -> list[float] | None:
        """Return the times of the frames in ms; None unless all have one."""
        times = layout.image.times_ms if layout.image else {}
        found = [times.get(place[1:]) for place in places]
        known = [ms for ms in found if ms is not None]
        return known if len(known) == len(places) else None

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        with as_movie_error(self._path):
            pixels = np.asarray(self._page(index).asarray())
        if pixels.shape != (self.height, self.width):
            raise MovieError(f"has a frame {index} of shape {pixels.shape}", where=self._path, hint=COPY_AGAIN)
        return pixels

    def stamp(self, index: int) -> Stamp:
        """Read number and time of one frame."""
        with as_movie_error(self._path):
            tags = self._tags(index)
        if tags:
            return micromanager_tags.stamp(tags, self._numbers[index], self._begin_unix_ms)
        return Stamp(self._numbers[index], self._times_ms[index] if self._times_ms else None)

    def close(self) -> None:
        """Close all files."""
        self._file.close()
        self._open.close()

    def _page(self, index: int) -> Any:
        """Return a page of an open file.

        Of a stack's other files, which may be thousands, one is open at a time.
        """
        page = self._pages[index]
        handle = page.parent.filehandle
        if handle is not self._open:
            if self._open is not self._file.filehandle:
                self._open.close()
            if handle is not self._file.filehandle:
                handle.open()
            self._open = handle
        return page

    def _tags(self, index: int) -> dict[str, Any]:
        """Read Micro-Manager's tags of a frame, {} where it has none."""
        if not self._file.is_micromanager:
            return {}
        value = self._page(index).aspage().tags.valueof(TAG)
        return value if isinstance(value, dict) else {}

    def _imagej_rate_hz(self) -> float | None:
        """Read ImageJ's frame interval."""
        interval_s = (self._file.imagej_metadata or {}).get("finterval")
        return 1 / interval_s if isinstance(interval_s, int | float) and 0 < interval_s < 1e6 else None
