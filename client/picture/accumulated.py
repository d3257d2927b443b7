"""Accumulated picture and how its resolution improved. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from client.picture.pictures import Picture, PicturePair

RESOLUTION = "resolution_nm"
MIN_GROWTH = 1.25  # of the frames from one remembered resolution to the next
MAX_STEPS = 40
MAX_LOSS = 1.1  # resolution in proportion to its best; still samples lost up to 1.007 (decision 0029)


@dataclass(frozen=True, slots=True, eq=False)
class AccumulatedPicture:
    """The newest picture of all frames of a scene.

    Attributes:
        picture: None before the first.
        steps: Frames and resolution in nm as it improved, oldest first.
    """

    picture: Picture | None = None
    steps: tuple[tuple[int, float], ...] = field(default=())

    def with_picture(self, picture: Picture) -> AccumulatedPicture:
        """Return the newer picture; another scene begins another curve."""
        before, header = self.picture, picture.header
        same = before is not None and before.header.run == header.run and before.header.scene == header.scene
        steps = self.steps if same and before is not None and header.frames >= before.header.frames else ()
        resolution = header.metrics.get(RESOLUTION)
        if resolution is not None and (not steps or header.frames >= MIN_GROWTH * steps[-1][0]):
            steps = (*steps, (header.frames, resolution))[-MAX_STEPS:]
        return replace(self, picture=picture, steps=steps)

    def covers(self, pair: PicturePair | None) -> bool:
        """Return whether it shows the field of a window."""
        if self.picture is None or pair is None:
            return False
        header, shown = self.picture.header, pair.sr.header
        sides = [tuple(side / one.scale for side in one.shape) for one in (header, shown)]
        return sides[0] == sides[1] and header.region == shown.region

    def text(self, rate_hz: float) -> str:
        """Say how fine it is: '41 nm after 3 min'.

        Args:
            rate_hz: Frames per second of the camera; 0 where it is not known.
        """
        if self.picture is None:
            return ""
        header = self.picture.header
        after = _duration(header.frames / rate_hz) if rate_hz > 0 else f"{header.frames:,} frames"
        resolution = header.metrics.get(RESOLUTION)
        return after if resolution is None else f"{resolution:.0f} nm after {after}"

    def coarser_reason(self, window_nm: float | None) -> str:
        """Say why it is coarser than a window or than it was; empty if it is not.

        Args:
            window_nm: Resolution of the window shown; None where it is not known.
        """
        resolution = self.picture.header.metrics.get(RESOLUTION) if self.picture else None
        if resolution is None:
            return ""
        frames, best_nm = min(self.steps, key=lambda step: step[1], default=(0, resolution))
        if window_nm is not None and resolution > window_nm:
            finer = f"the single window, {resolution:.0f} against {window_nm:.0f} nm"
        elif resolution > MAX_LOSS * best_nm:
            finer = f"after {frames:,} frames, {resolution:.0f} against {best_nm:.0f} nm"
        else:
            return ""
        return f"Coarser than {finer}: the sample has moved or changed in a way that drift correction does not follow"

    @property
    def explanation(self) -> str:
        """Description, and the resolution as it improved, a line each."""
        if self.picture is None:
            return ""
        header = self.picture.header
        lines = [f"All {header.frames:,} frames of this scene in one picture, {header.motion}", *header.notes]
        lines += [f"{resolution:.0f} nm after {frames:,} frames" for frames, resolution in self.steps]
        if not self.steps:
            lines.append("Its resolution is not known yet")
        return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
