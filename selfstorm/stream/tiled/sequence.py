"""The model of one tiled field: calibration, state, tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from selfstorm.physics.background import Surfaces
from selfstorm.physics.operators import Grid
from selfstorm.stages.out_of_focus import OutOfFocusBackground
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.settings import Settings
from selfstorm.stream.tiled.field import SeenDensity, TiledField
from selfstorm.stream.tiled.frames import FieldFrames


@dataclass(frozen=True, eq=False)
class TiledSequence:
    """Calibration, state and tiles of one field.

    A value, as `SequenceModel` is. Tiles and frames are shared by all copies: they hold what the newest frames and the
    newest command left, and no state.

    Attributes:
        settings: of the stream.
        calibration: of the field, learned from the first window.
        state: of the field; its density is `seen`, its frames are without pixels.
        seen: density of the last window, as the camera sees it; None before the first.
        field: the tiles.
        frames: the newest frames.
        surfaces: background of the field.
        out_of_focus: the same of every frame.
        compute: the device.
    """

    settings: Settings
    calibration: Calibration
    state: FieldState
    seen: SeenDensity | None
    field: TiledField
    frames: FieldFrames
    surfaces: Surfaces
    out_of_focus: OutOfFocusBackground
    compute: Compute

    @property
    def grid(self) -> Grid:
        """Padded SR grid of the field."""
        return self.field.grid

    def with_state(self, **changes: object) -> TiledSequence:
        """Return the model with parts of its state replaced."""
        return replace(self, state=replace(self.state, **changes))  # type: ignore[arg-type]
