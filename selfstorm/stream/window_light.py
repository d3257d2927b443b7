"""Density of a window, and the light of its mean frame that it explains."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfstorm.physics.background import fit_background
from selfstorm.stream.covariance_history import Selection
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.window import WindowFrames


@dataclass(frozen=True)
class WindowDensity:
    """The density of a window, and what it was made from.

    Attributes:
        m: (rows, columns), the density.
        iterations: Its iterations.
        selection: Covariances that it was computed from.
        stride: Frames until the next window.
        empty: Nothing blinks in focus, so that emitters are neither searched nor drawn.
    """

    m: Tensor
    iterations: int
    selection: Selection
    stride: int
    empty: bool


@dataclass(frozen=True)
class WindowLight:
    """Light of a window's mean frame, at equal brightness of all frames.

    Attributes:
        emitted: (rows, columns) photons of the density.
        background: (H, W) photons, smooth.
        expected: (H, W) photons, both as the camera sees them.
    """

    emitted: Tensor
    background: Tensor
    expected: Tensor

    @classmethod
    def of(cls, model: SequenceModel, window: WindowFrames, known: WindowDensity) -> WindowLight:
        """Fit the density's brightness and the background to a mean frame."""
        operators = model.operators
        imaged = operators.imaging.forward(known.m)
        brightness, background = fit_background(window.mean, imaged, len(window), operators.surfaces, operators.graphs)
        return cls(brightness * known.m, background, brightness * imaged + background)
