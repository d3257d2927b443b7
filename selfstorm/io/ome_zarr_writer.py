"""Pictures and movies as OME-Zarr 0.5.

They are sharded, one chunk per picture, with a coarser copy for viewers.

Reference: NGFF 0.5, multiscales; Zarr 3, sharding codec.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.io.atomic_files import check_new, temporary_path
from selfstorm.io.picture_file import PictureFile
from selfstorm.io.zarr_folder import check_replaceable, name_folder

PICTURES_PER_SHARD = 16
MIN_COARSE_PX = 128  # a picture smaller than this needs no coarser copy
HINT = 'pip install "selfstorm[zarr]"'


class OmeZarrWriter(PictureFile):
    """Writer of pictures of one shape and dtype to a folder.

    Their records are in its attributes.
    Until it is closed the folder is called NAME.part, a readable OME-Zarr at every moment: pictures are written by
    shards, the array grows with them.
    """

    def __init__(self, path: Path, pixel_nm: float | None, *, overwrite: bool = False) -> None:
        check_new(path, overwrite=overwrite)
        if os.path.lexists(path):
            check_replaceable(path)
        self.path, self.part = path, _claim_folder(path)
        self._pixel_nm, self._overwrite, self._count = pixel_nm, overwrite, 0
        self._records: list[dict[str, Any]] = []
        self._waiting: list[Array] = []
        self._arrays: list[Any] = []

    def add(self, picture: Array, record: Mapping[str, Any] | None = None) -> None:
        """Append one picture (H, W); record: what it was made from."""
        if not self._arrays:
            self._create(picture)
        shape, dtype = self._arrays[0].shape[1:], self._arrays[0].dtype.numpy_dtype
        if (picture.shape, picture.dtype) != (tuple(shape), dtype):
            raise InputError(f"a picture of {picture.shape} in a file of {tuple(shape)}", where=self.path)
        self._waiting.append(np.asarray(picture))
        if record is not None:
            self._records.append(dict(record))
        if len(self._waiting) == PICTURES_PER_SHARD:
            self._flush()

    def close(self) -> None:
        """Complete the folder and give it its name."""
        if not self._arrays:
            self.abandon()
            return
        self._flush()
        try:
            name_folder(self.part, self.path, overwrite=self._overwrite)
        except OSError as error:
            raise InputError(
                f"cannot be named ({error.strerror})", where=self.path, hint=f"the new one is kept as {self.part.name}"
            ) from None

    def abandon(self) -> None:
        """Remove what was written."""
        self._arrays = []
        shutil.rmtree(self.part, ignore_errors=True)

    def _create(self, picture: Array) -> None:
        height, width = picture.shape
        self._arrays = [self._array("0", (height, width), picture.dtype)]
        if min(height, width) >= MIN_COARSE_PX:
            self._arrays.append(self._array("1", (height // 2, width // 2), picture.dtype))
        self._describe()

    def _array(self, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> Any:
        try:
            import tensorstore
        except ImportError:
            raise InputError("needs tensorstore", where=self.path, hint=HINT) from None
        inner = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 3}},
        ]
        metadata = {
            "shape": [0, *shape],
            "data_type": dtype.name,
            "dimension_names": ["t", "y", "x"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [PICTURES_PER_SHARD, *shape]}},
            "codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, *shape], "codecs": inner}}],
        }
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{(self.part / name).resolve()}/"},
            "metadata": metadata,
            "store_data_equal_to_fill_value": True,  # a dark frame is there, a missing one is not
        }
        return tensorstore.open(spec, create=True).result()

    def _flush(self) -> None:
        """Write the waiting pictures as one shard."""
        if not self._waiting:
            return
        block, first = np.stack(self._waiting), self._count
        self._count, self._waiting = first + len(block), []
        try:
            for level, array in enumerate(self._arrays):
                pictures = block if level == 0 else _halved(block)
                grown = array.resize(exclusive_max=[self._count, *array.shape[1:]], resize_metadata_only=True).result()
                grown[first : self._count].write(pictures).result()
                self._arrays[level] = grown
            self._describe()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be written ({error})", where=self.path, hint="choose another place") from None

    def _describe(self) -> None:
        unit = {"unit": "nanometer"} if self._pixel_nm else {}
        pixel_nm = self._pixel_nm or 1.0
        axes = [{"name": "t", "type": "time"}, *({"name": n, "type": "space", **unit} for n in "yx")]
        datasets = [
            {"path": str(level), "coordinateTransformations": _transformations(pixel_nm, level)}
            for level in range(len(self._arrays))
        ]
        ome = {"version": "0.5", "multiscales": [{"name": self.path.stem, "axes": axes, "datasets": datasets}]}
        ours = {"written_by": f"selfstorm {version('selfstorm')}", "records": self._records}
        text = json.dumps(
            {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome, "selfstorm": ours}}, default=str
        )
        growing = self.part / "zarr.json.new"
        growing.write_text(text, encoding="utf-8")
        growing.replace(self.part / "zarr.json")


def _transformations(pixel_nm: float, level: int) -> list[dict[str, Any]]:
    """Scale of a level, and the shift of its first pixel's centre."""
    factor = 2**level
    found: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, pixel_nm * factor, pixel_nm * factor]}]
    if level:
        shift = (factor - 1) / 2 * pixel_nm
        found.append({"type": "translation", "translation": [0.0, shift, shift]})
    return found


def _halved(block: Array) -> Array:
    """Average 2 x 2 pixels of (T, H, W)."""
    count, height, width = block.shape
    even = block[:, : height // 2 * 2, : width // 2 * 2].reshape(count, height // 2, 2, width // 2, 2)
    mean = even.mean((2, 4), dtype=np.float64)
    halved: Array = (np.rint(mean) if block.dtype.kind in "ui" else mean).astype(block.dtype)
    return halved


def _claim_folder(path: Path) -> Path:
    """Create a folder NAME.part that no other run has."""
    if not path.parent.is_dir():
        raise InputError("no such folder", where=path.parent, hint="create it first")
    part, number = temporary_path(path), 1
    while True:
        try:
            part.mkdir()
        except FileExistsError:
            number += 1
            part = path.with_name(f"{path.name}.{number}.part")
        except OSError as error:
            raise InputError(f"cannot be created ({error.strerror})", where=path, hint="choose another place") from None
        else:
            return part
