"""CSV file of the drift of a recording, a row a frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.io.atomic_files import atomic_write

if TYPE_CHECKING:
    from selfstorm.localizations import Localizations

HEADER = "frame,y_nm,x_nm"


class DriftFile:
    """Localizations of a recording, and the drift found in them.

    Args:
        path: of the file.
        overwrite: replace a file that is there.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self._path, self._overwrite = path, overwrite
        self._found: list[NDArray[Any]] = []

    def add(self, found: Localizations) -> None:
        """Add the localizations of new frames."""
        columns = (values.cpu().numpy() for values in (found.frame, found.y_nm, found.x_nm))
        self._found.append(np.column_stack([column.astype(np.float64) for column in columns]))

    def write(self) -> int:
        """Write where the sample is in each frame, relative to the first.

        Returns:
            Number of rows; 0, and no file, where localizations are too few to tell.

        Raises:
            InputError: the file cannot be written.
        """
        from selfstorm.stream.drift import estimate_drift

        rows = np.concatenate([np.zeros((0, 3)), *self._found])
        curve = estimate_drift(rows[:, 0], rows[:, 1:])
        if not len(curve.frame):
            return 0
        frames = np.arange(int(rows[0, 0]), int(rows[-1, 0]) + 1)
        drift = np.column_stack([frames, curve.at(frames.astype(np.float64))])
        with atomic_write(self._path, overwrite=self._overwrite) as part:
            np.savetxt(part, drift, ("%d", "%.2f", "%.2f"), delimiter=",", header=HEADER, comments="")
        return len(drift)
