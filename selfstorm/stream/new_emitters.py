"""Emitters of a window that wait to be accumulated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfstorm.stream.frame_store import FrameBuffer


@dataclass(frozen=True, eq=False)
class NewEmitters:
    """Emitters that a window adds to the accumulated picture.

    Attributes:
        blocks: Frames whose emitters were found for the first time.
        density: (rows, columns) density of emitters that they were found with.
        frames: Frames behind that density.
        checked_nm: Resolution of the window by halves with a density each, and with one, where that was measured anew.
        real: Whether emitters are more than chance; only then are they added.
    """

    blocks: FrameBuffer
    density: Tensor
    frames: int
    checked_nm: tuple[float | None, float | None] | None = None
    real: bool = True
