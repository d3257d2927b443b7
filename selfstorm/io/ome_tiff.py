"""Pictures and movies as OME-TIFF: a growing writer and a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from selfstorm.errors import InputError
from selfstorm.frames import MAX_SIDE_PX, Array
from selfstorm.io.atomic_files import check_new, claim_temporary, publish
from selfstorm.io.big_tiff import BigTiff
from selfstorm.io.picture_file import PictureFile
from selfstorm.io.pixel_size import square_pixel, stated_pixel_size
from selfstorm.io.tiff import MAX_COMPRESSION
from selfstorm.io.tiff_layout import layout_of
from selfstorm.io.tiff_open import COPY_AGAIN, as_movie_error, open_tiff
from selfstorm.io.tiff_pages import check_whole, kind_of

RECORD_KEYS = {"first_frame", "first_seq", "window"}  # one of them is in every record of ours


class OmeTiffWriter(PictureFile):
    """Writer of pictures of one shape and dtype, one page each.

    Each may have a record, as JSON in its page's description.
    Until it is closed the file is called NAME.part, a readable TIFF at every moment, also after the process was
    killed. Closing puts the OME-XML in the place of the first page's description, and that record into it; it gives
    the file its name. Closing it empty, or an exception in its `with` block, removes it.
    """

    def __init__(self, path: Path, pixel_nm: float | None, *, overwrite: bool = False) -> None:
        check_new(path, overwrite=overwrite)
        self.path, self.part = path, claim_temporary(path)
        self._pixel_nm, self._overwrite = pixel_nm, overwrite
        self._first_record = ""  # the others are in the file alone: a daemon adds pictures for days
        self._count, self._shape, self._dtype = 0, tuple[int, ...](), ""
        try:
            self._file = BigTiff(self.part, pixel_nm=pixel_nm, claimed=True)
        except OSError as error:
            self.part.unlink(missing_ok=True)
            raise InputError(f"cannot be written ({error.strerror})", where=path, hint="choose another place") from None

    def add(self, picture: Array, record: Mapping[str, Any] | None = None) -> None:
        """Append one picture (H, W).

        Args:
            picture: (H, W), of the shape and pixel type of those before.
            record: what the picture was made from, as metadata.

        Raises:
            OSError: the disk is full, for example; the pictures before it stay readable.
        """
        if self._count and (picture.shape, str(picture.dtype)) != (self._shape, self._dtype):
            raise InputError(f"a picture of {picture.shape} in a file of {self._shape}", where=self.path)
        text = json.dumps(record or {})
        self._file.add(picture, text)
        if not self._count and record is not None:
            self._first_record = text
        self._count, self._shape, self._dtype = self._count + 1, picture.shape, str(picture.dtype)

    def close(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OSError: the disk refuses; the pictures are kept under the temporary name.
        """
        try:
            if self._count:
                self._file.describe(self._ome_xml())
        finally:
            self._file.close()
        if not self._count:
            self.part.unlink(missing_ok=True)
            return
        publish(self.part, self.path, overwrite=self._overwrite)

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self.part.unlink(missing_ok=True)

    def _ome_xml(self) -> str:
        count, (height, width) = self._count, self._shape
        more: dict[str, Any] = {"Description": f"[{self._first_record}]"} if self._first_record else {}
        if self._pixel_nm:
            more |= {f"PhysicalSize{axis}": self._pixel_nm for axis in "XY"}
            more |= {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
        shape, axes = ((count, height, width), "TYX") if count > 1 else ((height, width), "YX")
        ome = tifffile.OmeXml(Creator="selfstorm")
        ome.addimage(
            self._dtype,
            shape,
            (count, 1, 1, height, width, 1),
            axes=axes,
            Name=self.path.name,
            **more,
        )
        return ome.tostring(declaration=True)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures (N, H, W) of a file, their pixel size and their records.

    pixel_nm: None where the file does not state it. records: [] without.
    """

    pictures: Array
    pixel_nm: float | None
    records: list[dict[str, Any]]


def read_pictures(path: Path) -> Pictures:
    """Read all pictures of a TIFF, one or many."""
    with open_tiff(path) as file, as_movie_error(path):
        layout = layout_of(file, path)
        pages = [layout.pages[place] for place in sorted(layout.pages)]
        kind = kind_of(pages[0]) if pages else None
        if kind is None or kind.colour or sum(size > 1 for _, size in layout.axes) > 1:
            axes = ", ".join(f"{name} ({size})" for name, size in layout.axes if size > 1)
            what = "is a colour (RGB) image" if kind and kind.colour else f"holds pictures along {axes or 'nothing'}"
            raise InputError(what, where=path, hint="give grey pictures, one or a stack")
        if max(kind.height, kind.width) > MAX_SIDE_PX or not kind.height * kind.width:
            raise InputError(f"holds pictures of {kind.height} x {kind.width} pixels", where=path, hint=COPY_AGAIN)
        check_whole(pages, MAX_COMPRESSION, COPY_AGAIN)
        pictures = np.stack([page.asarray() for page in pages])
        size = layout.image.pixel_size if layout.image else stated_pixel_size(file)
        return Pictures(pictures, square_pixel(size)[0], _records(file))


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read the records of the pictures in a TIFF without their pixels.

    Returns [] where it has none.
    """
    try:
        with open_tiff(path) as file, as_movie_error(path):
            records = _records(file)
            return records if all(RECORD_KEYS & set(record) for record in records) else []
    except InputError:
        return []


def _records(file: tifffile.TiffFile) -> list[dict[str, Any]]:
    """Read the records of all pages.

    That of the first is in the OME-XML, those of the others are in their descriptions. A file of an earlier version has
    them all in the OME-XML; one that was not closed has no OME-XML.
    """
    if not file.ome_metadata:
        return _records_of_pages(file)
    root = ElementTree.fromstring(file.ome_metadata)  # noqa: S314  (expat bounds entity expansion)
    text = next((e.text for e in root.iter() if e.tag.endswith("}Description")), None)
    try:
        records = json.loads(text or "[]")
    except ValueError:
        return []
    if not isinstance(records, list):
        return []
    return records if len(records) != 1 else [*records, *_records_of_pages(file, first=1)]


def _records_of_pages(file: tifffile.TiffFile, first: int = 0) -> list[dict[str, Any]]:
    try:
        records = [json.loads(page.description) for page in file.pages[first:] if isinstance(page, tifffile.TiffPage)]
    except ValueError:
        return []
    return [record for record in records if isinstance(record, dict)]
