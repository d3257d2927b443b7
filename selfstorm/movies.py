"""Movies of camera frames on disk: TIFF, OME-TIFF, ImageJ and Micro-Manager stacks, and this daemon's recordings."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree

import numpy as np
import tifffile

from selfstorm.errors import MovieError
from selfstorm.frames import Array

PIXEL_TYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")
NM_PER_UNIT = {"nm": 1.0, "µm": 1e3, "um": 1e3, "micron": 1e3, "\\u00B5m": 1e3, "mm": 1e6, "cm": 1e7}
# A resolution tag outside this is a printer's, not a microscope's.
PLAUSIBLE_NM = (1.0, 5_000.0)


class MovieFile:
    """An open movie; frames are read one by one or all at once.

    length: frames. height, width: camera pixels. dtype: numpy name. pixel_nm: None where the file does not say.
    Raises MovieError, on opening, for everything that keeps the file from being read as (T, H, W).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_tiff(path)
        try:
            self._pages = self._frame_pages()
            self.length = len(self._pages)
            self.height, self.width = self._pages[0].shape
            stored = self._pages[0].dtype
            self.dtype = "float32" if stored == np.float64 else str(stored)
            if stored.kind == "f":
                self._check_finite()
            self.pixel_nm = stated_pixel_nm(self._file)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def frame(self, index: int) -> Array:
        """(H, W), read-only, ADU."""
        pixels = self._pages[index].asarray().astype(self.dtype, copy=False)
        pixels.flags.writeable = False
        return np.asarray(pixels)

    def frames(self) -> Array:
        """(T, H, W), ADU: the whole movie."""
        movie = np.empty((self.length, self.height, self.width), self.dtype)
        for index, page in enumerate(self._pages):
            movie[index] = page.asarray()
        return movie

    def _frame_pages(self) -> list[Any]:
        if not self._file.series:
            raise self._unusable("holds no image", "give a TIFF stack of camera frames")
        series = self._file.series[0]
        axes = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if size > 1]
        if any(axis == "S" for axis, _ in axes):
            raise self._unusable("is a colour (RGB) image", "give the camera's own grey values, one channel a frame")
        if len(axes) < 3 or [axis for axis, _ in axes[-2:]] != ["Y", "X"]:
            raise self._unusable(f"is one image of shape {series.shape}", "give a movie: many frames of one field")
        if len(axes) > 3:
            shape = " x ".join(f"{size} ({axis})" for axis, size in axes)
            raise self._unusable(
                f"has more than time besides its two sides: {shape}", "save one channel, slice and position"
            )
        if str(series.dtype) not in PIXEL_TYPES:
            raise self._unusable(f"has {series.dtype} pixels", f"save it as one of {', '.join(PIXEL_TYPES)}")
        return self._whole_pages(series)

    def _whole_pages(self, series: Any) -> list[Any]:
        size = self._file.filehandle.size
        pages = list(series.pages)
        if any(page is None for page in pages) or len(pages) != int(np.prod(series.shape[:-2])):
            pages = self._contiguous_pages(series)
        for index, page in enumerate(pages):
            end = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True))
            if end > size:
                raise self._unusable(
                    f"is truncated: frame {index} of {len(pages)} ends at byte {end}, the file at {size}",
                    "copy it again from where it came from",
                )
        return pages

    def _contiguous_pages(self, series: Any) -> list[Any]:
        """ImageJ's big stacks have one page and raw frames behind it."""
        first, count = series.pages[0], int(np.prod(series.shape[:-2]))
        if series.dataoffset is None:
            raise self._unusable("has frames missing from its index", "save it again as a plain TIFF stack")
        shape, dtype = first.shape, first.dtype.newbyteorder(self._file.byteorder)
        return [_RawPage(self._file.filehandle, series.dataoffset, i, shape, dtype) for i in range(count)]

    def _check_finite(self) -> None:
        for index, page in enumerate(self._pages):
            if not np.isfinite(page.asarray()).all():
                raise self._unusable(
                    f"has values that are not numbers (NaN or infinite) in frame {index}",
                    "give the camera's raw frames",
                )

    def _unusable(self, what: str, mend: str) -> MovieError:
        return MovieError(what, where=self.path, mend=mend)


class _RawPage:
    """One frame of raw pixels in a file, with the part of tifffile's page that MovieFile uses."""

    def __init__(self, handle: Any, start: int, index: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype, self._handle = shape, dtype.newbyteorder("="), handle
        self._stored = dtype
        self.databytecounts = (int(np.prod(shape)) * dtype.itemsize,)
        self.dataoffsets = (start + index * self.databytecounts[0],)

    def asarray(self) -> Array:
        self._handle.seek(self.dataoffsets[0])
        data = self._handle.read(self.databytecounts[0])
        return np.frombuffer(data, self._stored).reshape(self.shape).astype(self.dtype)


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF, or say in a MovieError why it cannot be."""
    if not path.exists():
        raise MovieError("no such file", where=path, mend="check the path")
    if path.is_dir():
        raise MovieError("is a folder", where=path, mend="give the TIFF file in it")
    try:
        with _Complaints() as complaints:
            file = tifffile.TiffFile(path)
            _ = file.series, len(file.pages)
    except tifffile.TiffFileError as error:
        raise MovieError(f"is not a readable TIFF ({error})", where=path, mend="give a TIFF or OME-TIFF") from None
    except PermissionError:
        raise MovieError("may not be read", where=path, mend="check its permissions") from None
    except Exception as error:  # tifffile meets a broken file with whatever its parser raises
        raise MovieError(
            f"is damaged or truncated ({type(error).__name__}: {error})", where=path, mend="copy it again"
        ) from None
    if complaints.of_damage:
        file.close()
        raise MovieError(
            f"is truncated or damaged ({complaints.of_damage})",
            where=path,
            mend="copy it again from where it came from",
        )
    return file


class _Complaints(logging.Handler):
    """What tifffile logs about a file while it is opened: a truncated one it reads as far as it goes, and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.of_damage = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "invalid page offset" in message or "corrupted" in message:
            self.of_damage = self.of_damage or message.partition("> ")[2]

    def __enter__(self) -> Self:
        tifffile.logger().addHandler(self)
        tifffile.logger().propagate = False  # what it says is said in MovieError's words
        return self

    def __exit__(self, *_: object) -> None:
        tifffile.logger().removeHandler(self)
        tifffile.logger().propagate = True


def stated_pixel_nm(file: tifffile.TiffFile) -> float | None:
    """Pixel size by the file's metadata, None where it says nothing believable."""
    for read in (
        _ome_pixel_nm,
        _micromanager_pixel_nm,
        _imagej_pixel_nm,
        _description_pixel_nm,
        _tag_pixel_nm,
    ):
        try:
            size = read(file)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError, ElementTree.ParseError):
            continue
        if size is not None and PLAUSIBLE_NM[0] <= size <= PLAUSIBLE_NM[1]:
            return round(size, 4)
    return None


def _ome_pixel_nm(file: tifffile.TiffFile) -> float | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    root = ElementTree.fromstring(file.ome_metadata)  # noqa: S314  (expat bounds entity expansion)
    pixels = next(element for element in root.iter() if element.tag.endswith("}Pixels"))
    return float(pixels.attrib["PhysicalSizeX"]) * NM_PER_UNIT[pixels.attrib.get("PhysicalSizeXUnit", "µm")]


def _micromanager_pixel_nm(file: tifffile.TiffFile) -> float | None:
    tag = file.pages.first.tags.get("MicroManagerMetadata")
    return None if tag is None else float(tag.value["PixelSizeUm"]) * 1e3


def _imagej_pixel_nm(file: tifffile.TiffFile) -> float | None:
    if not file.is_imagej or not file.imagej_metadata:
        return None
    per_unit = file.pages.first.tags["XResolution"].value
    return float(NM_PER_UNIT[file.imagej_metadata["unit"]] * per_unit[1] / per_unit[0])


def _description_pixel_nm(file: tifffile.TiffFile) -> float | None:
    return float(json.loads(file.pages.first.description)["pixel_nm"])


def _tag_pixel_nm(file: tifffile.TiffFile) -> float | None:
    tags = file.pages.first.tags
    if tags["ResolutionUnit"].value != tifffile.RESUNIT.CENTIMETER:
        return None
    per_cm = tags["XResolution"].value
    return float(NM_PER_UNIT["cm"] * per_cm[1] / per_cm[0])
