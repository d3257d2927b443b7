"""Window whose claims are to be checked."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfstorm.localizations import Localizations
from selfstorm.stream.processing_level import Quality
from selfstorm.stream.window import WindowFrames


@dataclass(frozen=True, eq=False)
class ClaimedWindow:
    """A window whose emitters were found.

    Attributes:
        frames: The frames.
        emitters: (rows, columns) photons, what the emitters were looked for in.
        background: (H, W) photons, of the mean frame.
        found: The localizations.
        stride: Frames until the next window.
        iterations: Of the density.
        quality: Of the localizations.
    """

    frames: WindowFrames
    emitters: Tensor
    background: Tensor
    found: Localizations
    stride: int
    iterations: int
    quality: Quality
