"""Super-resolved pictures as a growing TIFF that becomes an OME-TIFF of its final name when it is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tifffile

from selfstorm.errors import InputError
from selfstorm.frames import Array

NM_PER_CM = 1e7


class PictureWriter:
    """Writes (sH, sW) float32 pictures, a page a window, each with its own account as JSON.

    Until it is closed the file is called NAME.part: readable as a TIFF all along, also after the process was
    killed. Closing adds the OME-XML and gives it its name; closing it empty, or leaving its `with` block by an
    exception, removes it.
    """

    def __init__(self, path: Path, pixel_nm: float | None) -> None:
        if path.parent and not path.parent.is_dir():
            raise InputError("no such folder", where=path.parent, mend="make it first")
        self.path, self.part = path, path.with_name(path.name + ".part")
        self._pixel_nm = pixel_nm
        self._records: list[dict[str, Any]] = []
        self._shape: tuple[int, ...] = ()
        try:
            self._writer = tifffile.TiffWriter(self.part, bigtiff=True)
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", where=path, mend="choose another place") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __len__(self) -> int:
        return len(self._records)

    def add(self, picture: Array, record: Mapping[str, Any]) -> None:
        """Append one picture; record says what it was made from. All pictures of a file have one shape."""
        if self._records and picture.shape != self._shape:
            raise InputError(f"a picture of {picture.shape} in a file of {self._shape}", where=self.path)
        per_cm = NM_PER_CM / self._pixel_nm if self._pixel_nm else None
        self._writer.write(
            picture,
            photometric="minisblack",
            metadata=None,
            description=json.dumps(record),
            resolution=(per_cm, per_cm) if per_cm else None,
            resolutionunit="CENTIMETER" if per_cm else None,
        )
        self._shape = picture.shape
        self._records.append(dict(record))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._writer.close()
        if not self._records:
            self.part.unlink(missing_ok=True)
            return
        tifffile.tiffcomment(self.part, self._ome_xml().encode(), pageindex=0)
        self.part.replace(self.path)

    def discard(self) -> None:
        """Remove what was written."""
        self._writer.close()
        self.part.unlink(missing_ok=True)

    def _ome_xml(self) -> str:
        count, (height, width) = len(self._records), self._shape
        size: dict[str, Any] = {}
        if self._pixel_nm:
            size = {f"PhysicalSize{axis}": self._pixel_nm for axis in "XY"}
            size |= {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
        shape, axes = ((count, height, width), "TYX") if count > 1 else ((height, width), "YX")
        ome = tifffile.OmeXml(Creator="selfstorm")
        ome.addimage(
            "float32",
            shape,
            (count, 1, 1, height, width, 1),
            axes=axes,
            Name=self.path.name,
            Description=json.dumps(self._records),
            **size,
        )
        return ome.tostring(declaration=True)
