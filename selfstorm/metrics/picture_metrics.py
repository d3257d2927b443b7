"""Functions of the metrics of a picture; METRICS names them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfstorm.localizations import Localizations
from selfstorm.metrics.self_consistency import SelfConsistency, resolution_nm
from selfstorm.physics.operators import Grid
from selfstorm.stages.held_out import HeldOut


@dataclass(frozen=True, slots=True)
class PictureEvidence:
    """A picture and what it was made from, for metrics to measure.

    Args:
        picture: (s*H, s*W) of the field.
        mean: (H, W) photons, the mean frame.
        expected: (H, W) photons, the mean frame as the model explains it.
        background: (H, W) photons, the smooth part of `expected`.
        frames: Frames of the window.
        grid: The field and its SR cells.
        localizations: Those of the window; None where none were made.
        consistency: The picture against the mean frame; None at levels that do not assess it.
        iterations: Of the density network.
        held_out: What held-out frames say of that number; None where they were not asked yet.
    """

    picture: Tensor
    mean: Tensor
    expected: Tensor
    background: Tensor
    frames: int
    grid: Grid
    localizations: Localizations | None = None
    consistency: SelfConsistency | None = None
    iterations: int = 0
    held_out: HeldOut | None = None


def misfit(evidence: PictureEvidence) -> float:
    """Measure the share of the mean frame's variance left unexplained.

    Over the field, 0..1. Of variances, so that an offset of the background counts in neither. Shot noise is subtracted
    from both; 0 where the mean frame shows nothing but noise.
    """
    mean, residual = evidence.mean, evidence.mean - evidence.expected
    powers = mean.clamp(min=0).sum(), ((mean - mean.mean()) ** 2).sum(), ((residual - residual.mean()) ** 2).sum()
    light, shown, left = torch.stack(powers).tolist()
    noise = light / evidence.frames
    shown, left = shown - noise, left - noise
    return min(max(left, 0.0) / shown, 1.0) if shown > noise else 0.0


def agreement(evidence: PictureEvidence) -> float | None:
    """Correlate the picture, imaged again, with the mean frame; see `assess`."""
    return None if evidence.consistency is None else evidence.consistency.agreement


def resolution(evidence: PictureEvidence) -> float | None:
    """Estimate the resolution of the localisations, nm; None of too few."""
    found = evidence.localizations
    return None if found is None else resolution_nm(found, evidence.grid)


def emitters_per_frame(evidence: PictureEvidence) -> float | None:
    """Count localisations per frame; None where none were made."""
    found = evidence.localizations
    return None if found is None else len(found) / evidence.frames


def iterations(evidence: PictureEvidence) -> float:
    """Return the number of iterations of the density network."""
    return evidence.iterations


def prediction_z(evidence: PictureEvidence) -> float | None:
    """Return how significantly halves of the frames predict each other.

    In standard errors; None before there were halves.
    """
    return None if evidence.held_out is None else evidence.held_out.prediction_z


def background(evidence: PictureEvidence) -> float:
    """Average the background, photons per camera pixel and frame."""
    return float(evidence.background.mean())
