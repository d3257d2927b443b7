"""Vendors' movies by their maintained readers.

ND2 by nd2, CZI, LIF and others by bioio.
Both are extras: `pip install "selfstorm[vendor]"`. Frames are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from selfstorm.errors import MovieError, first_line
from selfstorm.frames import Array
from selfstorm.io.axes import Selection, movie_axis
from selfstorm.io.pixel_size import PixelSize, square_pixel
from selfstorm.io.reader import AcquisitionInfo, Stamp, check_field

ND2_SUFFIX = ".nd2"
BIOIO_SUFFIXES = (".czi", ".lif", ".dv", ".oir", ".lsm", ".ims", ".sldy")
AXIS_NAMES = {"T": "time", "C": "channel", "Z": "z", "P": "position"}
HINT = 'pip install "selfstorm[vendor]"'
MAX_REASON = 200  # characters
NM_PER_UM = 1e3


def is_vendor(path: Path) -> bool:
    """Tell whether a file's ending is a vendor's."""
    return path.suffix.lower() in (ND2_SUFFIX, *BIOIO_SUFFIXES)


class VendorReader:
    """A movie behind another library's reader; see Reader."""

    def __init__(self, path: Path, select: Selection) -> None:
        self._path = path
        self.paths: tuple[Path, ...] = (path,)
        self._close: Callable[[], Any] = lambda: None
        if not path.is_file():
            raise MovieError("no such file", where=path, hint="check the path")
        try:
            opened = _open_nd2(path) if path.suffix.lower() == ND2_SUFFIX else _open_bioio(path)
        except ImportError as error:
            raise MovieError(f"needs {error.name or 'another library'}", where=path, hint=HINT) from None
        except Exception as error:  # a vendor's file meets whatever its library raises
            raise _unreadable(path, error) from None
        axes, self._read, size, self._close = opened
        try:
            self._index = movie_axis([(AXIS_NAMES.get(name, name), count) for name, count in axes], select, path)
            self._movie = next(at for at, place in enumerate(self._index) if isinstance(place, slice))
            self.length = axes[self._movie][1]
            first = self.pixels(0)
            (self.height, self.width), self.dtype = first.shape, first.dtype
            check_field(path, self.height, self.width, self.dtype)
        except BaseException:
            self.close()
            raise
        self.pixel_nm, self.notes = square_pixel(size)
        self.acquisition = AcquisitionInfo()

    def pixels(self, index: int) -> Array:
        """Read (H, W) of one frame, as stored."""
        place = [0 if isinstance(at, slice) else at for at in self._index]
        place[self._movie] = index
        try:
            pixels = np.asarray(self._read(tuple(place)))
        except Exception as error:  # a vendor's file meets whatever its library raises
            raise _unreadable(self._path, error) from None
        if pixels.ndim != 2:
            raise MovieError("is a colour (RGB) image", where=self._path, hint="give the camera's own grey values")
        return pixels

    def stamp(self, index: int) -> Stamp:
        """Return a frame's index; the times of vendors' files are not read."""
        return Stamp(index, None)

    def close(self) -> None:
        """Close the file."""
        self._close()


Opened = tuple[
    Sequence[tuple[str, int]],
    Callable[[tuple[int, ...]], Any],
    PixelSize | None,
    Callable[[], Any],
]


def _open_nd2(path: Path) -> Opened:
    """Open ND2; its channels lie inside of a stored frame."""
    import nd2

    file = nd2.ND2File(path)
    sizes = dict(file.sizes)
    outer = [(name, count) for name, count in sizes.items() if name not in "CYXS"]
    channels = int(sizes.get("C", 1))
    shape = [count for _, count in outer]

    def read(place: tuple[int, ...]) -> Any:
        frame = np.asarray(file.read_frame(int(np.ravel_multi_index(place[:-1], shape)) if shape else 0))
        return frame[place[-1]] if channels > 1 else np.squeeze(frame)

    voxel = file.voxel_size()
    size = PixelSize(float(voxel.x) * NM_PER_UM, float(voxel.y) * NM_PER_UM)
    return [*outer, ("C", channels)], read, size, file.close


def _open_bioio(path: Path) -> Opened:
    """Open whatever bioio has a reader for; positions are its scenes."""
    from bioio import BioImage

    image = BioImage(path)
    scenes = list(image.scenes)
    axes = [("P", len(scenes)), *((name, int(getattr(image.dims, name))) for name in "TCZ")]

    def read(place: tuple[int, ...]) -> Any:
        position, time, channel, z = place
        if image.current_scene != scenes[position]:
            image.set_scene(scenes[position])
        return image.get_image_dask_data("YX", T=time, C=channel, Z=z).compute()

    size = None
    with suppress(TypeError, AttributeError):
        pixels = image.physical_pixel_sizes
        size = PixelSize(float(pixels.X) * NM_PER_UM, float(pixels.Y) * NM_PER_UM)
    return axes, read, size, lambda: None


def _unreadable(path: Path, error: Exception) -> MovieError:
    why = f"{type(error).__name__}: {first_line(error)[:MAX_REASON]}"
    return MovieError(f"cannot be read ({why})", where=path, hint="open it in the vendor's program and save it again")
