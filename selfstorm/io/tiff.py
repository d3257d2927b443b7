"""TIFF in all its dialects: plain stacks, OME-TIFF, ImageJ, Micro-Manager's stacks in one file or several."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import tifffile

from selfstorm.errors import InputError, MovieError
from selfstorm.frames import Array
from selfstorm.io import micromanager_tags
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.ome_planes import plane_times_ms
from selfstorm.io.pixel_size import stated_pixel_nm
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field

AXIS_NAMES = {"T": "time", "C": "channel", "Z": "z", "R": "position", "P": "position"}
TAG = "MicroManagerMetadata"
MOST_PACKED = 100_000  # times smaller than its pixels a compressed frame may be: an empty one nearly is
AGAIN = "copy it again from where it came from"


class TiffReader:
    """The movie in a TIFF; see Reader."""

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        self._file = open_tiff(path)
        self._open = self._file.filehandle
        try:
            with as_damage(path):
                self._describe(select)
        except BaseException:
            self._file.close()
            raise

    def _describe(self, select: Selection) -> None:
        """Find the movie's frames, and what is said of them."""
        path = self._path
        series = self._series()
        axes = [(AXIS_NAMES.get(a, a), n) for a, n in zip(series.axes[:-2], series.shape[:-2], strict=True) if n > 1]
        chosen = movie_axis(axes, select, path)
        check_promise(path, series)
        order = np.arange(int(np.prod(series.shape[:-2]))).reshape([size for _, size in axes])[chosen]
        pages = self._all_pages(series)
        self._pages = [pages[int(index)] for index in order]
        self._check_whole()
        self.paths = tuple({Path(page.parent.filehandle.path): None for page in self._pages})
        self.length = len(self._pages)
        self.height, self.width = series.shape[-2:]
        self.dtype = np.dtype(series.dtype)
        check_field(path, self.height, self.width, self.dtype)
        self.pixel_nm = stated_pixel_nm(self._file)
        self._times_ms = plane_times_ms(self._file, axes, chosen, self.length)
        tags = self._tags(0)
        self._begin_unix_ms = micromanager_tags.received_unix_ms(tags)
        self.acquisition = micromanager_tags.acquisition(tags) if tags else AcquisitionInfo(rate_hz=self._rate_hz())

    def pixels(self, index: int) -> Array:
        with as_damage(self._path):
            pixels = np.asarray(self._page(index).asarray())
        if pixels.shape != (self.height, self.width):
            raise MovieError(f"has a frame {index} of shape {pixels.shape}", where=self._path, hint=AGAIN)
        return pixels

    def stamp(self, index: int) -> Stamp:
        with as_damage(self._path):
            tags = self._tags(index)
        if tags:
            return micromanager_tags.stamp(tags, index, self._begin_unix_ms)
        return Stamp(index, self._times_ms[index] if self._times_ms else None)

    def close(self) -> None:
        self._file.close()
        self._open.close()

    def _series(self) -> Any:
        if not self._file.series:
            raise MovieError("holds no image", where=self._path, hint="give a TIFF stack of camera frames")
        series = self._file.series[0]
        if "S" in series.axes and series.shape[series.axes.index("S")] > 1:
            raise MovieError(
                "is a colour (RGB) image",
                where=self._path,
                hint="give the camera's own grey values, one channel a frame",
            )
        if len(series.axes) < 2 or series.axes[-2:] != "YX":
            raise MovieError(
                f"holds an array with the axes {series.axes}", where=self._path, hint="give a stack of camera frames"
            )
        return series

    def _all_pages(self, series: Any) -> list[Any]:
        pages = list(series.pages)
        if len(pages) == int(np.prod(series.shape[:-2])) and all(page is not None for page in pages):
            return pages
        return self._contiguous_pages(series)

    def _contiguous_pages(self, series: Any) -> list[Any]:
        """ImageJ's big stacks have one page and raw frames behind it."""
        first, count = series.pages[0], int(np.prod(series.shape[:-2]))
        if series.dataoffset is None or first is None:
            raise MovieError(
                "has frames missing: not all of its files are here",
                where=self._path,
                hint="keep the files of a stack together in one folder",
            )
        shape, dtype = first.shape, first.dtype.newbyteorder(self._file.byteorder)
        return [_RawPage(self._file, series.dataoffset, i, shape, dtype) for i in range(count)]

    def _check_whole(self) -> None:
        sizes: dict[str, int] = {}
        for index, page in enumerate(self._pages):
            # Of the handle only the path: tifffile has closed a stack's other files again.
            name = page.parent.filehandle.path
            size = sizes[name] = sizes.get(name) or Path(name).stat().st_size
            spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            end = max(offset + count for offset, count in spans)
            promised = math.prod(page.shape) * page.dtype.itemsize
            stored = sum(count for _, count in spans)
            if promised > stored * (1 if page.compression == 1 else MOST_PACKED):
                what = f"frame {index} of {len(self._pages)} has {promised} bytes of pixels in {stored}"
                raise MovieError(f"is damaged: {what}", where=name, hint=AGAIN)
            if end > size or not all(spans[0]):
                ends = f"ends at byte {end}, the file at {size}" if all(spans[0]) else "is not there"
                raise MovieError(f"is truncated: frame {index} of {len(self._pages)} {ends}", where=name, hint=AGAIN)

    def _page(self, index: int) -> Any:
        """A page of an open file: of a stack's other files one at a time, there may be thousands."""
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
        """Micro-Manager's tags of a frame, {} where it has none."""
        if not self._file.is_micromanager:
            return {}
        value = self._page(index).aspage().tags.valueof(TAG)
        return value if isinstance(value, dict) else {}

    def _rate_hz(self) -> float | None:
        """ImageJ's frame interval."""
        interval_s = (self._file.imagej_metadata or {}).get("finterval")
        return 1 / interval_s if isinstance(interval_s, float) and 0 < interval_s < 1e6 else None


class _RawPage:
    """One frame of raw pixels in a file, with the part of tifffile's page that TiffReader uses."""

    def __init__(
        self, file: tifffile.TiffFile, start: int, index: int, shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> None:
        self.parent, self.shape, self.dtype, self.compression = file, shape, dtype, 1
        self.databytecounts = (int(np.prod(shape)) * dtype.itemsize,)
        self.dataoffsets = (start + index * self.databytecounts[0],)

    def asarray(self) -> Array:
        self.parent.filehandle.seek(self.dataoffsets[0])
        data = self.parent.filehandle.read(self.databytecounts[0])
        return np.frombuffer(data, self.dtype).reshape(self.shape)


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF, or say in a MovieError why it cannot be."""
    if not path.exists():
        raise MovieError("no such file", where=path, hint="check the path")
    if path.is_dir():
        raise MovieError("is a folder", where=path, hint="give the TIFF file in it")
    with as_damage(path), _Complaints() as complaints:
        file = tifffile.TiffFile(path)
        try:
            _ = file.series, len(file.pages)
        except BaseException:
            file.close()
            raise
    if complaints.of_damage:
        file.close()
        raise MovieError(f"is truncated or damaged ({complaints.of_damage})", where=path, hint=AGAIN)
    return file


def check_promise(path: Path, series: Any) -> None:
    """Raises MovieError where a header promises more pixels than the files hold, before memory is taken for them."""
    files = {page.parent.filehandle.path for page in series.pages if page is not None}
    size = sum(Path(name).stat().st_size for name in files)
    if series.nbytes > size * (1 if series.keyframe.compression == 1 else MOST_PACKED):
        raise MovieError(f"is truncated: {series.nbytes} bytes of pixels in {size}", where=path, hint=AGAIN)


@contextmanager
def as_damage(path: Path) -> Iterator[None]:
    """Whatever tifffile raises while it looks at a file, as a MovieError that says so."""
    try:
        yield
    except InputError:
        raise
    except tifffile.TiffFileError as error:
        raise MovieError(f"is not a readable TIFF ({error})", where=path, hint="give a TIFF or OME-TIFF") from None
    except PermissionError:
        raise MovieError("may not be read", where=path, hint="check its permissions") from None
    except Exception as error:  # it meets a broken file with whatever its parser, or the decoder, raises
        why = str(error).partition("\n")[0][:200]
        raise MovieError(
            f"is damaged or truncated ({type(error).__name__}: {why})", where=path, hint="copy it again"
        ) from None


class _Complaints(logging.Handler):
    """What tifffile logs about a file while it is opened: a truncated one it reads as far as it goes, and goes on."""

    DAMAGE = (
        "invalid page offset",
        "corrupted",
        "series is missing files",
        "MMStack is missing",
        "series failed to read",
        "index out of range",
    )

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.of_damage = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(word in message for word in self.DAMAGE):
            self.of_damage = self.of_damage or message.partition("> ")[2]

    def __enter__(self) -> Self:
        tifffile.logger().addHandler(self)
        tifffile.logger().propagate = False  # what it says is said in MovieError's words
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tifffile.logger().removeHandler(self)
        tifffile.logger().propagate = True
