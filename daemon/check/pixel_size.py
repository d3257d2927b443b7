"""Check of a pixel size: whether an objective gives it."""

from __future__ import annotations

from daemon.check.probes import ok, warning
from selfstorm.metrics.finding import Finding

MIN_PIXEL_NM, MAX_PIXEL_NM = 20.0, 500.0
CALIBRATE = "calibrate it in Micro-Manager (Devices > Pixel Size Calibration), or set pixel_nm under [camera]"


def plausible(pixel_nm: float, origin: str) -> Finding:
    """Compare a pixel size with those of single-molecule imaging.

    Args:
        pixel_nm: size of a pixel in the sample.
        origin: where it was found.
    """
    what = f"{pixel_nm:g} nm, {origin}"
    if MIN_PIXEL_NM <= pixel_nm <= MAX_PIXEL_NM:
        return ok("pixel size", what)
    return warning(
        "pixel size",
        f"{what}: with the objectives of single-molecule imaging it is {MIN_PIXEL_NM:g} to {MAX_PIXEL_NM:g} nm",
        CALIBRATE,
    )
