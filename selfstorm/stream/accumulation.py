"""Accumulate every frame's localizations in one drift-corrected picture.

The localizations and emitter maps of new frames are moved back by the drift (`selfstorm.stream.live_drift`) and added
to those so far, at the cost of a stride however long it goes on. The picture is fused from the sums as that of a window
is (`selfstorm.stages.rendering`). It begins anew where the scene changes.

Its resolution is that of the earlier against the later half. Both were found with one density, which makes halves agree
in what is not there. How large that error is, is measured whenever the claims on a window are checked
(`selfstorm.stream.claims`): there the same frames are halved with one density and with two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations, joined
from selfstorm.physics.operators import Grid
from selfstorm.stages.rendering import BATCH_CELLS, fuse, render
from selfstorm.stream.covariance_history import fingerprints_of
from selfstorm.stream.coverage import frames_in_view, per_frame_in_view
from selfstorm.stream.frame_store import FrameBlock, FrameBuffer, numbers_of
from selfstorm.stream.live_drift import LiveDrift
from selfstorm.stream.motion import displaced_map
from selfstorm.stream.span_counts import SpanCounts

KEPT_FINGERPRINTS = 256  # of the first frames: a replay that begins again repeats them
MIN_REPEATED = 2  # frames of a block: one may match by chance


@dataclass(frozen=True, eq=False)
class Accumulation:
    """Sums over all frames of a scene, at the time of its first frames.

    Attributes:
        drawn: (scale*H, scale*W) localizations; None before the first.
        seen: Likewise, the number of frames that saw each cell.
        maps: (rows, columns) photons, sum of the emitter maps; None likewise.
        grid: Of the maps; None likewise.
        frames: Number of frames in the sums.
        emitters: Number of localizations in the sums.
        crowding: Mean crowding of the localizations.
        drift: Of the sample.
        spans: Localizations of a part of the field over time.
        checks: Number of comparisons that `shared_nm2` is the mean of.
        shared_nm2: Mean square of what halves with one density hide, the error that both have.
        first_frames: Fingerprints of the first frames.
        repeats: True from where frames came again; nothing more is added.
        offset: Added to the stream's frame numbers, so that they rise from stream to stream.
        scene: Number of the scene, from 0.
        excess_noise: Factor from the photons of the sums to those of the picture.
    """

    drawn: Tensor | None = None
    seen: Tensor | None = None
    maps: Tensor | None = None
    grid: Grid | None = None
    frames: int = 0
    emitters: int = 0
    crowding: float = 1.0
    drift: LiveDrift = field(default_factory=LiveDrift)
    spans: SpanCounts | None = None
    checks: int = 0
    shared_nm2: float = 0.0
    first_frames: tuple[int, ...] = ()
    repeats: bool = False
    offset: int = 0
    scene: int = 0
    excess_noise: float = 1.0

    def for_next_scene(self) -> Accumulation:
        """Return an empty accumulation for another scene."""
        return Accumulation(offset=self.offset, scene=self.scene + 1)

    def for_next_stream(self) -> Accumulation:
        """Return the accumulation for another stream, whose frames count from 0."""
        knots = self.drift.curve.frame
        offset = int(knots[-1]) + 1 if len(knots) else self.offset
        return replace(self, offset=offset, drift=self.drift.for_next_stream())

    def counting_in(self, part: tuple[slice, slice], pixel_nm: float) -> Accumulation:
        """Count localizations in a part of the field, its rows and columns."""
        rows, columns = part
        size = (rows.stop - rows.start) * pixel_nm, (columns.stop - columns.start) * pixel_nm
        return replace(self, spans=SpanCounts((rows.start * pixel_nm, columns.start * pixel_nm), size))

    def with_check(self, honest_nm: float | None, one_density_nm: float | None) -> Accumulation:
        """Learn how much too fine the halves of one density claim to be.

        Args:
            honest_nm: Resolution from halves with a density each.
            one_density_nm: Resolution of the same frames from halves with one density.
        """
        if honest_nm is None or one_density_nm is None:
            return self
        shared = max(honest_nm**2 - one_density_nm**2, 0.0)
        checks = self.checks + 1
        return replace(self, checks=checks, shared_nm2=self.shared_nm2 + (shared - self.shared_nm2) / checks)

    def resolution_nm(self) -> float | None:
        """Return the resolution of the structure in the accumulated picture.

        Noise averages out over the frames; the error that both halves share stays, and its square is added.

        Returns:
            None where it is no finer than the PSF, and before claims on a window were checked.
        """
        if self.spans is None or not self.checks:
            return None
        claimed = self.spans.resolution_nm()
        return None if claimed is None else math.hypot(claimed, math.sqrt(self.shared_nm2))

    @property
    def drift_nm(self) -> tuple[float, float] | None:
        """Where the sample is, (y, x), against the first frames.

        None before there are any.
        """
        y_nm, x_nm = self.drift.newest_nm.tolist()
        return (y_nm, x_nm) if self.frames else None

    def picture(self) -> Array | None:
        """Fuse the picture from the sums.

        Returns:
            (scale*H, scale*W) float32 expected photons per cell and frame; None before the first frames.
        """
        if self.drawn is None or self.seen is None or self.maps is None or self.grid is None:
            return None
        if not self.emitters:
            return torch.zeros_like(self.drawn).cpu().numpy()
        with torch.inference_mode():
            cell_nm = self.grid.pixel_nm * self.grid.height / len(self.drawn)
            crowding = self.drawn.new_tensor([self.crowding])
            maps = self.grid.crop(self.maps) / self.frames
            drawn = per_frame_in_view(self.drawn, self.seen, self.frames)
            picture = fuse(drawn, maps, crowding, cell_nm, self.frames)
            return (picture if self.excess_noise == 1 else picture * self.excess_noise).cpu().numpy()


@dataclass(frozen=True)
class DrawingSettings:
    """Settings of drawing localizations.

    Attributes:
        grid: Of density and maps.
        scale: Cells of the picture along a camera pixel.
        prior_frames: Frames that the density was learned from.
        batch_cells: Cells of the spots that are drawn together.
    """

    grid: Grid
    scale: int
    prior_frames: int
    batch_cells: int = BATCH_CELLS


def newly_localized(before: Iterable[FrameBlock], after: Iterable[FrameBlock]) -> FrameBuffer:
    """Return the blocks whose emitters were found for the first time.

    Args:
        before: The blocks of a window.
        after: The same with the emitters found for its picture.
    """
    pairs = zip(before, after, strict=True)
    return tuple(new for old, new in pairs if old.found is None and new.found is not None)


def accumulate(
    so_far: Accumulation,
    blocks: Sequence[FrameBlock],
    emitters: Tensor,
    how: DrawingSettings,
) -> Accumulation:
    """Add the localizations and maps of new frames.

    Args:
        so_far: The sums before; without a part to count in (`Accumulation.counting_in`) it has no resolution.
        blocks: New frames, their emitters found.
        emitters: (rows, columns) density of emitters, at the time of those frames.
        how: How they are drawn.
    """
    blocks, so_far = _new_frames(so_far, blocks)
    tables = [block.found for block in blocks if block.found is not None]
    if not tables:
        return so_far
    found, grid, offset = joined(tables), how.grid, so_far.offset
    frame = found.frame.cpu().numpy().astype(np.float64) + offset
    host = torch.stack([found.y_nm, found.x_nm, found.crowding], -1).cpu().numpy().astype(np.float64)
    yx_nm, crowdings = host[:, :2], host[:, 2]
    drift = so_far.drift.with_localizations(frame, yx_nm)
    by = -drift.curve.at(frame)
    found, there = _inside(found.displaced(torch.as_tensor(by).to(found.y_nm)), grid)
    numbers = numbers_of(blocks).astype(np.float64) + offset
    prior = _moved_back(emitters, drift, float(numbers.mean()), grid)
    drawn = render(found, prior, grid, how.prior_frames, how.scale, how.batch_cells)
    seen = torch.as_tensor(frames_in_view(drift.curve.at(numbers), grid, how.scale)).to(drawn)
    moved = [
        _moved_back(block.total, drift, float(block.numbers.mean()) + offset, grid)
        for block in blocks
        if block.total is not None
    ]
    maps = torch.stack(moved).sum(0)
    spans = so_far.spans
    if spans is not None:
        at, taken = (yx_nm + by)[there], (frame - offset)[there]
        for block in blocks:
            spans = spans.with_frames(len(block), at[(taken >= block.numbers[0]) & (taken <= block.numbers[-1])])
    count = so_far.emitters + len(found)
    crowding = so_far.crowding
    if len(found):
        crowding += (float(np.median(crowdings[there])) - crowding) * len(found) / count
    return replace(
        so_far,
        drawn=drawn if so_far.drawn is None else so_far.drawn + drawn,
        seen=seen if so_far.seen is None else so_far.seen + seen,
        grid=grid,
        maps=maps if so_far.maps is None else so_far.maps + maps,
        frames=so_far.frames + sum(map(len, blocks)),
        emitters=count,
        crowding=crowding,
        drift=drift,
        spans=spans,
    )


def _new_frames(so_far: Accumulation, blocks: Sequence[FrameBlock]) -> tuple[FrameBuffer, Accumulation]:
    """Select the frames that are not repeated, and remember the first ones."""
    kept: list[FrameBlock] = []
    known, repeats = so_far.first_frames, so_far.repeats
    for block in blocks:
        names = fingerprints_of(block.y.cpu().numpy())
        repeats = repeats or sum(name in known for name in names) >= MIN_REPEATED
        if repeats:
            break
        known = (*known, *names)[:KEPT_FINGERPRINTS]
        kept.append(block)
    return tuple(kept), replace(so_far, first_frames=known, repeats=repeats)


def _inside(found: Localizations, grid: Grid) -> tuple[Localizations, Array]:
    """Select the localizations in the field; returns them and (E,) bool."""
    height, width = grid.height * grid.pixel_nm, grid.width * grid.pixel_nm
    inside = (found.y_nm >= 0) & (found.y_nm < height) & (found.x_nm >= 0) & (found.x_nm < width)
    return found.where(inside), inside.cpu().numpy()


def _moved_back(m: Tensor, drift: LiveDrift, frame: float, grid: Grid) -> Tensor:
    """Move a map (rows, columns) of a frame to the time of the first ones."""
    by = -drift.curve.at(np.array([frame]))[0] / grid.pixel_nm
    if not by.any():
        return m
    everywhere = torch.as_tensor(by, dtype=m.dtype, device=m.device)[:, None, None]
    return displaced_map(m, everywhere.expand(2, grid.height, grid.width).contiguous(), grid)
