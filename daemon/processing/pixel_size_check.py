"""Doubt about the pixel size, from the PSF that was learned with it."""

from __future__ import annotations

from daemon.health import Health
from daemon.processing.sinks import Sink, WindowOutput
from selfstorm.io.pixel_size import doubt


class PixelSizeCheck(Sink):
    """Reports a pixel size whose PSF no microscope has, once for each size.

    Args:
        health: takes the event.
    """

    def __init__(self, health: Health) -> None:
        self._health, self._doubted = health, 0.0

    def result(self, output: WindowOutput) -> None:
        """Compare the PSF of a window with what light allows."""
        psf, header = output.made.result.psf, output.header
        if psf is None or header.pixel_nm is None:
            return
        pixel_nm = header.pixel_nm * header.scale
        why = doubt(psf.equivalent_sigma_nm, pixel_nm)
        if why and pixel_nm != self._doubted:
            self._doubted = pixel_nm
            self._health.event("warning", "pixel_size_doubtful", why)
