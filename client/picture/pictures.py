"""Received pictures, and the pictures of one window together. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.protocol.messages import PictureHeader
from selfstorm.frames import Array

HEADER_BYTES = 9000  # of a decoded header, measured


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Facts that a saved picture's file has beside those of its header.

    Attributes:
        lines: How it was made, a line each.
        absent: Names of fields of the header that the file does not state.
    """

    lines: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One received picture, or one of a file.

    Attributes:
        header: Metadata.
        pixels: (H, W) float32, read-only.
        at_s: Time of arrival.
        preview: Whether a refined picture of the same window follows.
        file: Record in the file of a saved picture; None for a received one.
    """

    header: PictureHeader
    pixels: Array
    at_s: float
    preview: bool = False
    file: FileRecord | None = None

    @property
    def unit(self) -> str:
        """Unit of a pixel; arbitrary where the daemon does not say."""
        return self.header.unit or "a.u."

    @property
    def window(self) -> tuple[str, int]:
        """Run and number of the window it was made from."""
        return self.header.run, self.header.window


@dataclass(frozen=True, slots=True, eq=False)
class PicturePair:
    """Pictures of one window.

    Attributes:
        sr: Super-resolved picture, (s*H, s*W).
        raw: Raw mean, (H, W); None in a saved movie, which has no raw means.
        error: Error map, (H, W) photons: the picture imaged again through the microscope minus the raw mean; None
            where none was published.
        trust: Trust map, (H, W), 0..1, how well two halves of the frames agree, NaN where they were not compared; None
            likewise.
    """

    sr: Picture
    raw: Picture | None
    error: Picture | None = None
    trust: Picture | None = None

    @property
    def window(self) -> tuple[str, int]:
        """Run and number of the window all were made from."""
        return self.sr.window

    @property
    def at_s(self) -> float:
        """Time at which the pair was complete."""
        return self.sr.at_s if self.raw is None else max(self.sr.at_s, self.raw.at_s)

    @property
    def memory_bytes(self) -> int:
        """Memory of all pixels and headers."""
        pictures = (self.sr, self.raw, self.error, self.trust)
        return sum(HEADER_BYTES + one.pixels.nbytes for one in pictures if one is not None)

    def fits(self) -> bool:
        """Return whether all cover the same field."""
        scale = self.sr.header.scale
        sides = [one.header.shape for one in (self.raw, self.error, self.trust) if one is not None]
        return all(self.sr.header.shape == (scale * height, scale * width) for height, width in sides)
