"""OME-Zarr (NGFF), Zarr version 2 and 3, read by tensorstore.

Reference: NGFF 0.4 and 0.5, multiscales, plate, well and bioformats2raw.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError, first_line
from selfstorm.frames import Array
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.pixel_size import MS_PER_UNIT, PixelSize, nm_of, square_pixel
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field

MARKS = (".zattrs", ".zgroup", ".zarray", "zarr.json")
MAX_CHUNK_BYTES = 2**31
MAX_LISTED = 8
MAX_REASON = 200  # characters
AXIS_NAMES = {"t": "time", "c": "channel", "p": "position"}


@dataclass(frozen=True, slots=True)
class _Multiscale:
    """The finest array of an image, and its axes.

    names, units, scale: of the axes; [] where not stated.
    """

    array: Path
    names: list[str]
    units: list[str]
    scale: list[float]


class OmeZarrReader:
    """The finest image of an OME-Zarr group, or a plain Zarr array.

    It is a Reader.
    A frame whose chunks are not stored is missing: its number is left out.
    """

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        self.paths: tuple[Path, ...] = (path,)
        image = _image(path)
        self._array = _opened(path, image.array)
        shape = tuple(int(side) for side in self._array.shape)
        names = image.names or [f"axis{i}" for i in range(len(shape) - 2)] + ["y", "x"]
        if len(names) != len(shape) or [name.lower() for name in names[-2:]] != ["y", "x"]:
            raise MovieError(
                f"has an array of {shape} with the axes {names}", where=path, hint="give a stack of frames"
            )
        axes = [(AXIS_NAMES.get(n, n), size) for n, size in zip(names[:-2], shape[:-2], strict=True)]
        self._index = movie_axis(axes, select, path)
        self._movie = next(i for i, at in enumerate(self._index) if isinstance(at, slice))
        self.height, self.width = shape[-2:]
        self.dtype = self._array.dtype.numpy_dtype
        check_field(path, self.height, self.width, self.dtype)
        chunk_bytes = int(np.prod(self._array.chunk_layout.read_chunk.shape)) * self.dtype.itemsize
        if chunk_bytes > MAX_CHUNK_BYTES:
            raise MovieError(f"has chunks of {chunk_bytes} bytes", where=path, hint="save it with one chunk per frame")
        self._numbers = self._stored_frames(axes[self._movie][1])
        self.length = len(self._numbers)
        frames = axes[self._movie][1]
        missing = frames - self.length
        y, x = (_scaled(image, at, nm_of) for at in (len(shape) - 2, len(shape) - 1))
        self.pixel_nm, notes = square_pixel(None if x is None and y is None else PixelSize(x or y or 0, y or x or 0))
        self.notes = (
            *([f"missing, for they have no stored chunks: {missing} frame{'s' * (missing > 1)}"] if missing else []),
            *notes,
        )
        interval_ms = _scaled(image, self._movie, _ms_of)
        self.acquisition = AcquisitionInfo(rate_hz=1000 / interval_ms if interval_ms else None, frames=frames)

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        try:
            return np.asarray(self._frame(self._numbers[index]).read().result())
        except ValueError as error:  # what tensorstore raises for a damaged chunk
            raise MovieError(f"frame {index} is damaged ({_reason(error)})", where=self._path) from None

    def stamp(self, index: int) -> Stamp:
        """Return the position of a frame on the movie's axis."""
        return Stamp(self._numbers[index])

    def close(self) -> None:
        """Release the array."""
        del self._array

    def _frame(self, number: int) -> Any:
        at = list(self._index)
        at[self._movie] = number
        return self._array[tuple(at)]

    def _stored_frames(self, count: int) -> list[int]:
        """List the frames of which every chunk is stored.

        A frame that is not stored would be read as zeros.
        """
        if self._array[self._index].storage_statistics(query_fully_stored=True).result().fully_stored:
            return list(range(count))
        asked = [self._frame(number).storage_statistics(query_fully_stored=True) for number in range(count)]
        stored = [number for number, answer in enumerate(asked) if answer.result().fully_stored]
        if not stored:
            raise MovieError("has no stored chunks", where=self._path, hint="copy all of its files")
        return stored


def _image(path: Path) -> _Multiscale:
    """Find the array of the finest image.

    Raises MovieError where there are several images.
    """
    attributes = _attributes(path)
    if "multiscales" not in attributes and (inside := _images_inside(path, attributes)):
        if len(inside) != 1:
            listed = ", ".join(str(one.relative_to(path)) for one in inside[:MAX_LISTED])
            raise MovieError(f"holds {len(inside)} images: {listed}", where=path, hint=f"name one, as in {inside[0]}")
        path = inside[0]
        attributes = _attributes(path)
    try:
        image = attributes["multiscales"][0]
        finest = image["datasets"][0]
        array = path / str(finest["path"])
        if path.resolve() not in (array.resolve(), *array.resolve().parents):
            raise MovieError(f"names an array outside of itself ({finest['path']})", where=path)
        names = [str(axis["name"]) for axis in image["axes"]]
        units = [str(axis.get("unit", "")) for axis in image["axes"]]
        scale = [1.0] * len(names)
        for transformation in (*finest["coordinateTransformations"], *image.get("coordinateTransformations", ())):
            if transformation["type"] == "scale":  # those of the data set and of all data sets multiply
                scale = [float(a) * float(b) for a, b in zip(scale, transformation["scale"], strict=True)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        if "multiscales" in attributes:
            raise MovieError("has multiscales that are not OME-Zarr's", where=path, hint="save it again") from None
        if not any((path / name).is_file() for name in (".zarray", "zarr.json")):
            raise MovieError("is a Zarr group without an image", where=path, hint="name the image in it") from None
        return _Multiscale(path, [], [], [])
    return _Multiscale(array, names, units, scale)


def _images_inside(path: Path, attributes: dict[str, Any]) -> list[Path]:
    """List the images of a plate, a well or a bioformats2raw folder."""
    inside: list[Path] = []
    try:
        if "plate" in attributes:
            for well in attributes["plate"]["wells"]:
                folder = path / str(well["path"])
                inside += _images_inside(folder, _attributes(folder))
        elif "well" in attributes:
            inside += [path / str(image["path"]) for image in attributes["well"]["images"]]
        elif "bioformats2raw.layout" in attributes:
            inside += sorted(folder for folder in path.iterdir() if folder.is_dir())
    except (KeyError, TypeError):
        raise MovieError("has a plate or well without sense", where=path, hint="name the image in it") from None
    root = path.resolve()
    return [one for one in inside if root in one.resolve().parents and "multiscales" in _attributes(one)]


def _attributes(path: Path) -> dict[str, Any]:
    for name, keys in (("zarr.json", ("attributes", "ome")), (".zattrs", ())):
        if (path / name).is_file():
            try:
                found: Any = json.loads((path / name).read_text(encoding="utf-8"))
                for key in keys:
                    found = found.get(key, found if key == "ome" else {})
            except (ValueError, AttributeError, RecursionError):
                raise MovieError("is not JSON", where=path / name, hint="copy it again") from None
            if isinstance(found, dict):
                return found
    return {}


def _opened(path: Path, array: Path) -> Any:
    try:
        import tensorstore
    except ImportError:
        raise MovieError("needs tensorstore", where=path, hint='pip install "selfstorm[zarr]"') from None
    driver = "zarr3" if (array / "zarr.json").is_file() else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{array.resolve()}/"}}
    try:
        return tensorstore.open(spec, open=True, read=True).result()
    except ValueError as error:
        raise MovieError(f"is no readable array ({_reason(error)})", where=array, hint="copy it again") from None


def _scaled(image: _Multiscale, axis: int, convert: Any) -> float | None:
    if axis >= len(image.scale) or not image.scale[axis] > 0:
        return None
    size: float | None = convert(image.scale[axis], image.units[axis])
    return size


def _ms_of(value: float, unit: str) -> float | None:
    factor = MS_PER_UNIT.get(unit)
    return None if factor is None else value * factor


def _reason(error: Exception) -> str:
    return first_line(error)[:MAX_REASON]
