"""Masked pixels: regions that show a constant instead of light.

Borders that a region of interest leaves black, halves of another channel, masks drawn in software. Their edge would be
the steepest structure of the field. They are filled with the mirrored field beside them, in which structure and noise
go on across the edge, and nothing is drawn there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import binary_dilation, binary_opening, distance_transform_edt

from selfstorm.frames import Array

MIN_SIDE_PX = 3  # of a region: fewer constant pixels in a row are the camera's defects
MAX_SAME_SHARE = 0.01  # of the values beside a region: where light is clipped, many are the same
COMPARED_FRAMES = 8
MAX_FOLDS = 64


@dataclass(frozen=True, eq=False)
class FieldMask:
    """Masked pixels of a field.

    Attributes:
        masked: (H, W) bool; None where no pixel is masked.
    """

    masked: Array | None = None

    @classmethod
    def found_in(cls, frames: Array) -> FieldMask:
        """Find the mask of frames (T, H, W), any unit."""
        masked = masked_pixels(frames)
        return cls(masked if masked.any() else None)

    def with_pixels(self, more: Array) -> FieldMask:
        """Return the mask with more pixels, (H, W) bool."""
        if not more.any():
            return self
        return FieldMask(more if self.masked is None else more | self.masked)

    def clipped(self, frames: Array) -> Array | None:
        """Return the masked pixels that show the largest value.

        Returns:
            (H, W) bool; None where there are none.
        """
        if self.masked is None:
            return None
        at_top = self.masked & (frames[0] == frames.max())
        return at_top if at_top.any() else None

    @cached_property
    def _sources(self) -> Array | None:
        return None if self.masked is None else mirrored_sources(self.masked).ravel()

    @cached_property
    def clear_part(self) -> tuple[slice, slice]:
        """Rows and columns of a large part of the field without masked pixels."""
        return (slice(None), slice(None)) if self.masked is None else largest_part(self.masked)

    def filled(self, frames: Array) -> Array:
        """Fill the masked pixels of frames (T, H, W) with the field beside them."""
        if self._sources is None:
            return frames
        return np.asarray(frames.reshape(len(frames), -1)[:, self._sources].reshape(frames.shape))

    def blank(self, picture: Array, scale: int = 1) -> Array:
        """Return a picture (scale * H, scale * W) that is 0 in masked pixels."""
        if self.masked is None:
            return picture
        return np.where(np.kron(self.masked, np.ones((scale, scale), bool)), picture.dtype.type(0), picture)

    def shows(self, y_px: Array, x_px: Array) -> Array:
        """Return which positions, in pixels from the corner, are not masked: bool."""
        if self.masked is None:
            return np.ones(len(y_px), bool)
        at = (np.clip(z.astype(np.int64), 0, side - 1) for z, side in zip((y_px, x_px), self.masked.shape, strict=True))
        return np.asarray(~self.masked[tuple(at)])


def masked_pixels(frames: Array) -> Array:
    """Find the pixels that are masked.

    Args:
        frames: (T, H, W), any unit.

    Returns:
        (H, W) bool.
    """
    first, region = frames[0], np.ones(frames.shape[1:], bool)
    for part in (frames[1:COMPARED_FRAMES], frames[COMPARED_FRAMES:]):  # few suffice where nothing is masked
        for frame in part:
            region &= frame == first
        region = np.asarray(binary_opening(region, np.ones((MIN_SIDE_PX, MIN_SIDE_PX), bool)))
        if not region.any():
            return region
    beside = binary_dilation(region) & ~region
    if not beside.any():
        return np.zeros_like(region)
    values = np.unique(first[region])
    same = float(np.isin(frames[:, beside], values).mean())
    return np.asarray(region & (same <= MAX_SAME_SHARE))


def mirrored_sources(masked: Array) -> Array:
    """Choose a pixel for each masked one, mirrored at the edge of the mask.

    The edge pixel itself is not repeated: neighbours never show the same noise.

    Args:
        masked: (H, W) bool, not all True.

    Returns:
        (H, W) flat indices; of pixels that are not masked, their own.
    """
    sides = np.array(masked.shape)[:, None, None]
    nearest = np.asarray(distance_transform_edt(masked, return_distances=False, return_indices=True))
    source = np.indices(masked.shape)
    for _ in range(MAX_FOLDS):
        y, x = source
        if not (wrong := masked[y, x]).any():
            break
        mirrored = np.abs(2 * nearest[:, y, x] - source)  # at the mask, and at the edges of the field
        source = np.where(wrong, np.where(mirrored < sides, mirrored, 2 * (sides - 1) - mirrored), source)
    y, x = np.where(masked[source[0], source[1]], nearest, source)
    return np.asarray(y * masked.shape[1] + x)


def largest_part(masked: Array) -> tuple[slice, slice]:
    """Return a large part of the field without masked pixels.

    Rows and columns with most masked pixels are cut off until none is left.
    """
    top, bottom, left, right = 0, masked.shape[0], 0, masked.shape[1]
    while masked[top:bottom, left:right].any():
        part = masked[top:bottom, left:right]
        shares = (part[0].mean(), part[-1].mean(), part[:, 0].mean(), part[:, -1].mean())
        worst = int(np.argmax(shares))
        if shares[worst] == 0:  # an island: cut off what holds less
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            cuts = (rows[-1] + 1, part.shape[0] - rows[0], columns[-1] + 1, part.shape[1] - columns[0])
            worst = int(np.argmin([c / side for c, side in zip(cuts, np.repeat(part.shape, 2), strict=True)]))
            step = int(cuts[worst])
        else:
            step = 1
        top, bottom = top + step * (worst == 0), bottom - step * (worst == 1)
        left, right = left + step * (worst == 2), right - step * (worst == 3)
    return slice(top, bottom), slice(left, right)
