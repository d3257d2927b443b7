"""Emitters of a window that wait to be accumulated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfstorm.metrics.claim_evidence import ClaimEvidence
from selfstorm.stream.claimed_window import ClaimedWindow
from selfstorm.stream.frame_store import FrameBuffer


@dataclass(frozen=True, eq=False)
class NewEmitters:
    """Emitters that a window adds to the accumulated picture.

    Attributes:
        blocks: Frames whose emitters were found for the first time.
        density: (rows, columns) density of emitters that they were found with.
        frames: Frames behind that density.
        checked: Evidence that was gathered on this window before its picture; None where none was.
        claimed: The window, where its claims are checked after its picture.
    """

    blocks: FrameBuffer
    density: Tensor
    frames: int
    checked: ClaimEvidence | None = None
    claimed: ClaimedWindow | None = None
