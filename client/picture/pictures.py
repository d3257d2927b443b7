"""What is shown: received pictures, and the pair of one window. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.protocol.messages import PictureHeader
from selfstorm.frames import Array


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One received picture. pixels: (H, W) float32, read-only. at_s: when it came. preview: a refined one follows."""

    header: PictureHeader
    pixels: Array
    at_s: float
    preview: bool = False

    @property
    def window(self) -> tuple[str, int]:
        """The run and number of the window it was made from."""
        return self.header.run, self.header.window


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The pictures of one window. sr: (s*H, s*W); raw: (H, W), None in a saved movie, which holds no raw means.

    error: (H, W) photons, the super-resolved picture imaged again less the raw mean; None where none was published.
    """

    sr: Picture
    raw: Picture | None
    error: Picture | None = None

    @property
    def window(self) -> tuple[str, int]:
        """The run and number of the window both were made from."""
        return self.sr.window

    @property
    def at_s(self) -> float:
        """When the pair was complete."""
        return self.sr.at_s if self.raw is None else max(self.sr.at_s, self.raw.at_s)

    @property
    def pixel_bytes(self) -> int:
        """Memory that the pixels of all take."""
        return sum(one.pixels.nbytes for one in (self.sr, self.raw, self.error) if one is not None)

    def fits(self) -> bool:
        """Whether all cover the same field."""
        scale = self.sr.header.scale
        sides = [one.header.shape for one in (self.raw, self.error) if one is not None]
        return all(self.sr.header.shape == (scale * height, scale * width) for height, width in sides)
