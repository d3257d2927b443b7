"""What a window takes of a device's memory, counted before any of it is taken, and how much is done at once in it.

Counted in what the networks keep alive together: camera frames (H, W) and maps of the padded SR grid (rows, columns),
four bytes a number. What torch really takes lies within COUNTED_WITHIN of it (tests).
"""

from __future__ import annotations

from dataclasses import dataclass

from selfstorm.compute.batching import BatchLimits, frames_together
from selfstorm.compute.cuda_graphs import MOST_BYTES, MOST_GRAPHS
from selfstorm.physics.operators import LAGS, Grid, Imaging, LaggedCovariance, Separable
from selfstorm.psf.rendering import CORE_PX, HALO_PX
from selfstorm.stages.covariances import TREND_FRAMES

NUMBER = 4  # bytes
COUNTED_WITHIN = 1.4
# Of what is free: other programs, the caching allocator's gaps and a second process of ours want some as well.
SHARE = 0.7
# Maps and frames alive at the worst moment of a layer, beside what an operator makes.
EMITTERS_MAPS, EMITTERS_FRAMES, SHARED_MAPS = 2, 4, 3
DENSITY_MAPS, DENSITY_FRAMES = 5, 6 * len(LAGS)
CANDIDATES_MAPS = 6
TREND_COPIES, HELD_COPIES, HAZE_FRAMES, HAZE_MODE_FRAMES = 7.75, 3, 5, 3
FITTING_CANVASES, PATCH_BYTES, MODE_BYTES = 8, 90, 600
REMEMBERED_FRAMES = 16 * (2 * len(LAGS) + 1)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes that a window takes at most, stage by stage.

    kept: frames, statistics, operators and what else stays. watching: new frames are taken in. density: stage A.
    emitters, fitting: stages B and C of what is done at once. limits: how much that is. free: bytes to be had when it
    was planned, None where nobody counts them.
    """

    kept: int
    watching: int
    density: int
    emitters: int
    fitting: int
    limits: BatchLimits
    free: int | None

    @property
    def peak(self) -> int:
        """Bytes at the worst moment."""
        return self.kept + max(self.watching, self.density, self.emitters, self.fitting)

    @property
    def fits(self) -> bool:
        """Whether all of it is to be had."""
        return self.free is None or self.peak <= self.free


def plan(
    imaging: Imaging,
    covariance: LaggedCovariance,
    frames: int,
    most: BatchLimits,
    free: int | None,
    new_frames: int | None = None,
) -> MemoryPlan:
    """What a window of so many frames takes, with as much done at once as is free.

    most: never more at once than this. new_frames: frames that are taken in together whatever is free. Sizes go by
    halves: free memory that is a little different another time makes the same batches, and the same picture. Where
    nothing fits the least is planned, and `fits` is false. Room is left for graphs too, but a window fits without.
    """
    grid, limits = imaging.grid, most
    kept = frames * _frame(grid) + REMEMBERED_FRAMES * _frame(grid) + operator_bytes(imaging, covariance)
    while True:
        together = min(frames, frames_together(_map(grid) // NUMBER, limits.map_bytes))
        made = MemoryPlan(
            kept,
            watching_bytes(
                imaging, min(frames, limits.new_frames) if new_frames is None else new_frames, limits.map_bytes
            ),
            density_bytes(covariance),
            max(emitter_bytes(imaging, together), CANDIDATES_MAPS * together * _map(grid)),
            fitting_bytes(imaging, limits.emitters, together),
            limits,
            free,
        )
        less = limits.halved()
        if less is None or free is None or made.peak + graph_bytes(imaging, covariance, together) <= SHARE * free:
            return made
        limits = less


def emitter_bytes(imaging: Imaging, frames: int) -> int:
    """What so many frames together take in stage B."""
    grid = imaging.grid
    one = EMITTERS_MAPS * _map(grid) + _spread_bytes(imaging.operator, grid) + EMITTERS_FRAMES * _frame(grid)
    return frames * one + SHARED_MAPS * _map(grid)


def density_bytes(covariance: LaggedCovariance) -> int:
    """What a window takes in stage A, however long it is."""
    grid = covariance.grid
    return DENSITY_MAPS * _map(grid) + _spread_bytes(covariance.operator, grid) + DENSITY_FRAMES * _frame(grid)


def graph_bytes(imaging: Imaging, covariance: LaggedCovariance, frames: int) -> int:
    """What graphs of so many frames together, or of stage A, keep at most: nobody else is given their memory."""
    frames = min(frames, MOST_BYTES // _map(imaging.grid))
    return MOST_GRAPHS * max(density_bytes(covariance), emitter_bytes(imaging, frames)) if frames else 0


def watching_bytes(imaging: Imaging, frames: int, map_bytes: int) -> int:
    """What it takes to take in so many frames beside those before them: for their trend, or for their smooth light."""
    grid, seen = imaging.grid, frames + TREND_FRAMES
    coarse = (grid.height + 2 * grid.pad_px) * (grid.width + 2 * grid.pad_px)
    together = min(frames, frames_together(coarse, map_bytes))
    haze = HELD_COPIES * seen + (HAZE_FRAMES + HAZE_MODE_FRAMES * imaging.operator.terms) * together
    return round(max(TREND_COPIES * seen, haze) * _frame(grid))


def fitting_bytes(imaging: Imaging, emitters: int, frames: int) -> int:
    """What stage C takes for so many emitters on so many frames."""
    grid, side = imaging.grid, 2 * min(max(imaging.reach_px, HALO_PX[0]), HALO_PX[1]) + 1
    edge = 2 * (grid.pad_px + HALO_PX[1]) + CORE_PX
    canvas = frames * (grid.height + edge) * (grid.width + edge) * NUMBER
    return FITTING_CANVASES * canvas + emitters * (PATCH_BYTES * side**2 + MODE_BYTES * imaging.operator.terms)


def operator_bytes(*operators: Imaging | LaggedCovariance) -> int:
    """What the matrices take."""
    entries = 0
    for one in (each.operator for each in operators):
        entries += one.terms * (one.y_down.entries + one.y_up.entries)
        entries += one.pairs * (one.x_down.entries + one.x_up.entries)
    return entries * NUMBER


def _spread_bytes(operator: Separable, grid: Grid) -> int:
    """What an adjoint makes: every pair spread along x, their sum a term; the map, in blocks and in one piece."""
    pieces = 1 if operator.y_up.blocks == 1 else 2
    spread = operator.pairs + (operator.terms if operator.terms < operator.pairs else 0)
    return pieces * _map(grid) + spread * grid.height * grid.cells[1] * NUMBER


def _frame(grid: Grid) -> int:
    return grid.height * grid.width * NUMBER


def _map(grid: Grid) -> int:
    rows, columns = grid.cells
    return rows * columns * NUMBER
