"""Model of a field in tiles (implements StreamModel)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from selfstorm.compute.batching import free_bytes
from selfstorm.compute.host_memory import host_bytes
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.background import Surfaces
from selfstorm.physics.operators import Grid
from selfstorm.reconstruction import Reconstruction
from selfstorm.stages.density import cold_iterations
from selfstorm.stages.out_of_focus import OutOfFocusBackground
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan, pending_frames
from selfstorm.stream.model_protocol import WindowCost
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.sequence_stream import SequenceStream
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.board import Board
from selfstorm.stream.tiled.field import TiledField, TileGroup
from selfstorm.stream.tiled.frames import FieldFrames
from selfstorm.stream.tiled.ingest import ingest
from selfstorm.stream.tiled.learning import learn_field
from selfstorm.stream.tiled.picture import reconstruct_window
from selfstorm.stream.tiled.plan import halo_px, planned_bytes, side_that_fits, tiles_of
from selfstorm.stream.tiled.sequence import TiledSequence
from selfstorm.stream.tiled.tile import LocalTiles, TileSettings

NOT_SAVED = "a tiled model is not saved"
NO_LOCALIZATIONS = "the tiled model makes no localizations"


class TiledStream(SequenceStream[TiledSequence]):
    """Our model of a stream, computed in tiles (docs/decisions/0032).

    Optics and camera are those of the first window.
    """

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, compute: Compute) -> TiledStream:
        """Make the model of a stream that begins with first_window, (T, H, W) ADU.

        Raises:
            InputError: pictures with localizations are wanted.
        """
        if settings.estimate == "fused":
            raise InputError(NO_LOCALIZATIONS, where="estimate", hint="give 'density' or 'emitters', or another model")
        height, width = first_window.shape[1:]
        calibration, state = learn_field(settings, first_window)
        grid = Grid(height, width, settings.grid_scale, settings.pixel_nm)
        shared = TileSettings(
            grid, calibration.psf, calibration.camera, calibration.saturation_adu, compute.limits.map_bytes
        )
        field = field_of(settings, shared, compute)
        like = torch.zeros((), device=compute.device)
        return cls(
            TiledSequence(
                settings,
                calibration,
                state,
                None,
                field,
                FieldFrames(field.board, calibration, shared, compute.device),
                Surfaces.of(height, width, like),
                OutOfFocusBackground(calibration.psf, grid, like),
                compute,
            )
        )

    @classmethod
    def load(cls, path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> TiledStream:
        """Refuse: a tiled model is not saved."""
        raise InputError(NOT_SAVED, where=path, hint="start without it, or use model 'unrolled'")

    def ingest(self, raw: Array, span: WindowSpan) -> None:
        """Ingest new frames, (T, H, W) ADU.

        Raises:
            InputError: The frames are of another field.
        """
        self.check_field(raw)
        self.learned = ingest(self.learned, raw, span)

    def picture(
        self,
        span: WindowSpan,
        level: ProcessingLevel | None = None,
        callbacks: ProgressCallbacks = NO_CALLBACKS,
        preview: Callable[[Reconstruction], None] | None = None,
    ) -> Reconstruction:
        """Learn from a window and super-resolve it, without a preview."""
        self.learned, result = reconstruct_window(self.learned, span, level or self.settings.level, callbacks)
        return result

    def cost(self, first: int) -> WindowCost:
        """Return the work that the window from frame `first` on still takes."""
        state = self.learned.state
        frames = state.history.frames
        return WindowCost(
            pending_frames(state.buffer, first, localized=False, prior_frames=frames),
            state.iteration_choice.iterations(cold_iterations(frames)),
        )

    def iteration_s(self) -> float:
        """Measure the time of one iteration of all tiles, in seconds."""
        return self.learned.field.iteration_s()

    def memory_shortage(self, frames: int) -> str:
        """Describe the shortage of memory for a window of `frames`.

        The text is empty where the memory is sufficient.
        """
        there = host_bytes()
        needed = planned_bytes(self.learned.grid, self.learned.field.tiles, frames)
        if there is None or needed <= there:
            return ""
        return f"{there / 2**30:.1f} GiB of memory are there, {frames} frames of this field take {needed / 2**30:.1f}"

    def fingerprint(self) -> str:
        """Return no name: a tiled model is not saved."""
        return ""

    def save(self, path: Path, source: str, *, overwrite: bool = False) -> None:
        """Refuse: a tiled model is not saved."""
        raise InputError(NOT_SAVED, where=path, hint="use model 'unrolled'")


def field_of(settings: Settings, shared: TileSettings, compute: Compute) -> TiledField:
    """Cut a field into tiles, computed here or in processes."""
    halo = halo_px(shared.psf, settings.pixel_nm)
    side = settings.tile_px or side_that_fits(shared.grid, halo, free_bytes(compute.device))
    tiles = tiles_of((shared.grid.height, shared.grid.width), side, halo)
    workers = compute.tile_workers
    board = Board() if workers is None else workers.board()
    groups: Sequence[TileGroup] = (
        (LocalTiles(tiles, shared, board, compute.device),)
        if workers is None
        else workers.groups_of(tiles, shared, side, halo, board)
    )
    return TiledField(shared.grid, tiles, groups, board, compute.device)
