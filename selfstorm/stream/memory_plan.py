"""Memory of a window, counted in advance, and the batches that fit.

Each stage counts the camera frames (H, W) and the maps of the padded SR grid (rows, columns) that it keeps alive
together, in float32. What torch allocates agrees with the count to a factor of COUNTED_WITHIN (tests).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from selfstorm.compute.batching import BYTES_PER_NUMBER, BatchLimits, frames_together
from selfstorm.compute.cuda_graphs import MAX_GRAPH_BYTES
from selfstorm.physics.operators import LAGS, Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Gaussian
from selfstorm.stages.pipeline import STAGES
from selfstorm.stages.stage import Batch
from selfstorm.stream.settings import Settings

COUNTED_WITHIN = 1.4
# Of the free memory: other programs, the gaps of the caching allocator and a second process of ours need some too.
FREE_SHARE = 0.7
LARGE_GRAPHS = 8  # of those that are kept; the others hold little
HISTORY_FRAMES = 16 * (2 * len(LAGS) + 1)  # the covariance history: blocks, each of two maps per lag and a power
# New frames take some twelve times their bytes, as float32, while they are ingested: no computer has that for a long
# window of a large field. Fewer than these would change their trend, and with it the picture.
MAX_PIXELS_TOGETHER, MIN_FRAMES_TOGETHER = 2**23, 64
USUAL_SIGMA_NM = 130.0  # where the PSF is yet to be learned
USED_HEAP_SHARE = 0.45  # after many windows; the rest are gaps between what is kept
PROGRAM_BYTES = 300e6  # interpreter, torch and the other libraries
MAX_TUNING_FRAMES = 400  # that the PSF is fine-tuned on: more of one window add no information on the optics
TUNING_COPIES, LEARNING_COPIES = 5, 1.5  # of those frames, and of the first window, as float32


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes that a window takes at most.

    Attributes:
        kept: frames, statistics, operators and whatever else stays.
        stages: bytes of each stage by name, at its worst moment.
        limits: limits of the batches.
        free: bytes that were free when it was planned; None where the memory is not counted.
    """

    kept: int
    stages: Mapping[str, int]
    limits: BatchLimits
    free: int | None

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        return self.kept + max(self.stages.values())

    @property
    def fits(self) -> bool:
        """True where the peak is free."""
        return self.free is None or self.peak <= self.free


def plan(
    imaging: Imaging,
    covariance: LaggedCovariance,
    frames: int,
    upper: BatchLimits,
    free: int | None,
    new_frames: int | None = None,
) -> MemoryPlan:
    """Plan the batches of a window of so many frames.

    Limits are halved until the plan fits into a share of the free memory: a little more or less of it makes the same
    batches, and the same picture. Memory is left for CUDA graphs too, but a window fits without.

    Args:
        imaging: density to frames.
        covariance: density to covariances.
        frames: frames of the window.
        upper: upper limits.
        free: bytes of the device; None plans with the upper limits.
        new_frames: frames ingested together whatever is free; None: as the limits say.

    Returns:
        The plan. With the smallest batches it may still not fit: see `fits`.
    """
    operators, limits = (imaging, covariance), upper
    kept = (frames + HISTORY_FRAMES) * imaging.grid.frame_bytes
    kept += sum(one.separable.bytes + one.grid.map_bytes for one in operators)  # matrices and norms
    while True:
        batch = _batch(imaging, covariance, frames, limits, new_frames)
        planned = MemoryPlan(kept, {stage.name: stage.bytes(batch) for stage in STAGES}, limits, free)
        smaller = limits.halved()
        if smaller is None or free is None or planned.peak + graph_bytes(batch) <= FREE_SHARE * free:
            return planned
        limits = smaller


def ingested_together(field: tuple[int, int]) -> int:
    """Return how many new frames of a field (H, W) are ingested together.

    It depends on nothing else, so that offline and a lossless daemon make the same picture.
    """
    return max(MIN_FRAMES_TOGETHER, MAX_PIXELS_TOGETHER // (field[0] * field[1]))


def window_bytes(settings: Settings, field: tuple[int, int], frames: int) -> float:
    """Estimate the memory of a CPU that windows take, before a frame is read.

    Args:
        settings: settings of the stream.
        field: (H, W) of the frames.
        frames: frames of a window.

    Returns:
        Bytes of the whole program at its worst moment. Measured over 50 windows: 1.37 GB where 1.34 were estimated.
    """
    grid, like = Grid(*field, settings.grid_scale, settings.pixel_nm), torch.zeros(())
    psf = settings.psf or Gaussian(USUAL_SIGMA_NM)
    imaging, covariance = Imaging(psf, grid, like), LaggedCovariance(psf, grid, like)
    planned = plan(imaging, covariance, frames, BatchLimits(), None, min(frames, ingested_together(field)))
    tuning = TUNING_COPIES * min(frames, MAX_TUNING_FRAMES) * (settings.tuning_steps > 0)
    worst = max(*planned.stages.values(), max(tuning, LEARNING_COPIES * frames) * grid.frame_bytes)
    return PROGRAM_BYTES + (planned.kept + worst) / USED_HEAP_SHARE


def graph_bytes(batch: Batch) -> int:
    """Count the bytes that CUDA graphs hold at most.

    Their memory is not shared with anything else.
    """
    frames = min(batch.frames, MAX_GRAPH_BYTES // batch.imaging.grid.map_bytes)
    if not frames:
        return 0
    captured = replace(batch, frames=frames)
    return LARGE_GRAPHS * max(stage.bytes(captured) for stage in STAGES if stage.captured)


def _batch(
    imaging: Imaging, covariance: LaggedCovariance, frames: int, limits: BatchLimits, new_frames: int | None
) -> Batch:
    """Return the batch that the limits allow."""
    together = min(frames, frames_together(imaging.grid.map_bytes // BYTES_PER_NUMBER, limits.map_bytes))
    new = min(frames, limits.new_frames) if new_frames is None else new_frames
    return Batch(imaging, covariance, together, limits.emitters, new, limits.map_bytes)
