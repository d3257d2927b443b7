"""Names of cameras, under which calibrations are found again."""

from __future__ import annotations

from dataclasses import dataclass

CALIBRATION_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,99}$"  # it names a file
NO_CALIBRATION = "none"


@dataclass(frozen=True, slots=True)
class SensorField:
    """Field of some frames on a camera's sensor.

    Attributes:
        camera: names of the camera, as a source or file states them.
        roi_yx: first row and column, in pixels of the frames.
        shape: (H, W).
        binning: of the camera.
    """

    camera: str
    roi_yx: tuple[int, int]
    shape: tuple[int, int]
    binning: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names that a calibration of this camera may have.

        Micro-Manager's label stands before the name of the device; a replay names its file first.
        """
        last = self.camera.rpartition(", ")[2]
        label = last.partition(" (")[0]
        return tuple(dict.fromkeys(name for name in (self.camera, last, label) if name))
