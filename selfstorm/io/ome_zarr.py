"""OME-Zarr (NGFF), Zarr version 2 and 3, read by tensorstore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError
from selfstorm.frames import Array
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.pixel_size import plausible_nm
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field

MARKS = (".zattrs", ".zgroup", ".zarray", "zarr.json")
MOST_CHUNK_BYTES = 2**31
NM_PER_UNIT = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6}
S_PER_UNIT = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6}
AXIS_NAMES = {"t": "time", "c": "channel", "p": "position"}


class OmeZarrReader:
    """The finest image of an OME-Zarr group, or a plain Zarr array; see Reader."""

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        self.paths: tuple[Path, ...] = (path,)
        array, names, scale, units = _image(path)
        self._array = _opened(path, array)
        shape = tuple(int(side) for side in self._array.shape)
        names = names or [f"axis{i}" for i in range(len(shape) - 2)] + ["y", "x"]
        if len(names) != len(shape) or [name.lower() for name in names[-2:]] != ["y", "x"]:
            raise MovieError(
                f"has an array of {shape} with the axes {names}", where=path, hint="give a stack of frames"
            )
        axes = [(AXIS_NAMES.get(n, n), size) for n, size in zip(names[:-2], shape[:-2], strict=True)]
        self._index = movie_axis(axes, select, path)
        self._movie = next(i for i, at in enumerate(self._index) if isinstance(at, slice))
        self.length, self.height, self.width = axes[self._movie][1], *shape[-2:]
        self.dtype = self._array.dtype.numpy_dtype
        check_field(path, self.height, self.width, self.dtype)
        chunk_bytes = int(np.prod(self._array.chunk_layout.read_chunk.shape)) * self.dtype.itemsize
        if chunk_bytes > MOST_CHUNK_BYTES:
            raise MovieError(f"has chunks of {chunk_bytes} bytes", where=path, hint="save it with a chunk a frame")
        self.pixel_nm = plausible_nm(_scaled(scale, units, len(shape) - 1, NM_PER_UNIT))
        interval_s = _scaled(scale, units, self._movie, S_PER_UNIT)
        self.acquisition = AcquisitionInfo(rate_hz=1 / interval_s if interval_s else None)

    def pixels(self, index: int) -> Array:
        at = list(self._index)
        at[self._movie] = index
        try:
            return np.asarray(self._array[tuple(at)].read().result())
        except ValueError as error:  # what tensorstore raises for a damaged chunk
            raise MovieError(f"frame {index} is damaged ({_first_line(error)})", where=self._path) from None

    def stamp(self, index: int) -> Stamp:
        return Stamp(index)

    def close(self) -> None:
        del self._array


def _image(path: Path) -> tuple[Path, list[str], list[float], list[str]]:
    """The array of the finest image: its folder, and names, scales and units of its axes ([] where nothing says)."""
    attributes = _attributes(path)
    if "bioformats2raw.layout" in attributes or "plate" in attributes:
        inside = sorted(p.name for p in path.iterdir() if p.is_dir() and _is_image(p))
        if len(inside) != 1:
            raise MovieError(
                f"holds {len(inside)} images: {', '.join(inside[:8])}", where=path, hint=f"name one, as in {path / '0'}"
            )
        path = path / inside[0]
        attributes = _attributes(path)
    try:
        image = attributes["multiscales"][0]
        finest = image["datasets"][0]
        array = path / str(finest["path"])
        if path.resolve() not in (array.resolve(), *array.resolve().parents):
            raise MovieError(f"names an array outside of itself ({finest['path']})", where=path)
        names = [str(axis["name"]) for axis in image["axes"]]
        units = [str(axis.get("unit", "")) for axis in image["axes"]]
        scale = [float(s) for t in finest["coordinateTransformations"] if t["type"] == "scale" for s in t["scale"]]
    except (KeyError, IndexError, TypeError, ValueError):
        if "multiscales" in attributes:
            raise MovieError("has multiscales that are not OME-Zarr's", where=path, hint="save it again") from None
        return path, [], [], []
    return array, names, scale, units


def _is_image(path: Path) -> bool:
    return "multiscales" in _attributes(path)


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
        raise MovieError(f"is no readable array ({_first_line(error)})", where=array, hint="copy it again") from None


def _scaled(scale: list[float], units: list[str], axis: int, known: dict[str, float]) -> float | None:
    if axis >= min(len(scale), len(units)) or units[axis] not in known or not scale[axis] > 0:
        return None
    return scale[axis] * known[units[axis]]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
