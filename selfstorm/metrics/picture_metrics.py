"""Functions of the metrics of a picture; METRICS names them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from selfstorm.localizations import Localizations
from selfstorm.metrics.claim_evidence import ClaimEvidence
from selfstorm.metrics.self_consistency import SelfConsistency
from selfstorm.metrics.typical_localization import TypicalLocalization
from selfstorm.physics.operators import Grid
from selfstorm.stages.held_out import HeldOut

MAX_QUANTILE_PIXELS = 2**18  # of larger fields every n-th pixel is taken


@dataclass(frozen=True, slots=True)
class PictureEvidence:
    """A picture and what it was made from, for metrics to measure.

    Tensors are on the host but for the localizations.

    Args:
        picture: (s*H, s*W) of the field.
        mean: (H, W) photons, the mean frame that is explained: of a density, at equal brightness of all frames.
        seen: (H, W) photons, the mean frame as it was taken.
        expected: (H, W) photons, the mean frame as the model explains it.
        background: (H, W) photons, the smooth part of `expected`.
        frames: Frames of the window.
        grid: The field and its SR cells.
        localizations: Those of the window; None where none were made.
        consistency: The picture against the mean frame; None at levels that do not assess it.
        iterations: Of the density network.
        held_out: What held-out frames say of that number; None where they were not asked yet.
        claims: Evidence for what is claimed of the picture; None where there is none yet.
        psf_sigma_nm: Width of the PSF in use.
        motion_nm: Root-mean-square distance that the sample moved within the window; None where it was not estimated.
        moving_share: Share of that distance in the frames as the picture draws them; 0 where it follows the motion.
        psf_limit_nm: Width of the widest PSF in focus; None where it is not known.
        blinking_nm: Width of what blinks where none of it is in focus; None elsewhere.
        width_nm: Width of what blinks in the newest frames that show it; None before any do.
        saturated_share: Share of the pixel values that are saturated.
        drift_nm: (y, x) of the sample one stride before, against its first frames; None where it is not followed.
        typical: Localization of the window; None where there is none.
        far_correlation: Of changes far apart; None where noise hides it.
        psf_variation: By how much what blinks is wider in one part of the field than in another; None where too little
            blinks.
    """

    picture: Tensor
    mean: Tensor
    seen: Tensor
    expected: Tensor
    background: Tensor
    frames: int
    grid: Grid
    localizations: Localizations | None = None
    consistency: SelfConsistency | None = None
    iterations: int = 0
    held_out: HeldOut | None = None
    claims: ClaimEvidence | None = None
    psf_sigma_nm: float | None = None
    motion_nm: float | None = None
    moving_share: float = 1.0
    psf_limit_nm: float | None = None
    blinking_nm: float | None = None
    width_nm: float | None = None
    saturated_share: float = 0.0
    drift_nm: tuple[float, float] | None = None
    typical: TypicalLocalization | None = None
    far_correlation: float | None = None
    psf_variation: float | None = None


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


def saturated(evidence: PictureEvidence) -> float:
    """Return the share of the pixel values that are saturated."""
    return evidence.saturated_share


def below_offset(evidence: PictureEvidence) -> float:
    """Return how far the darkest pixels lie below the camera's offset.

    In photons, of the darkest hundredth of the mean frame; 0 where it lies above.
    """
    values = evidence.seen.flatten()[:: -(-evidence.seen.numel() // MAX_QUANTILE_PIXELS)]
    darkest = values.kthvalue(1 + len(values) // 100).values
    return max(-float(darkest), 0.0)


def agreement(evidence: PictureEvidence) -> float | None:
    """Correlate the picture, imaged again, with the mean frame; see `assess`."""
    return None if evidence.consistency is None else evidence.consistency.agreement


def resolution(evidence: PictureEvidence) -> float | None:
    """Return the resolution of the structure, nm.

    None where it is no finer than the PSF, and for pictures without localizations.
    """
    claims = _claims(evidence)
    return None if claims is None else claims.resolution_nm


def fidelity(evidence: PictureEvidence) -> float | None:
    """Return the estimated correlation of the picture with the structure."""
    claims = _claims(evidence)
    return None if claims is None else claims.fidelity


def false_share(evidence: PictureEvidence) -> float | None:
    """Return the share of false localizations, estimated by decoys."""
    claims = _claims(evidence)
    return None if claims is None else claims.decoys.false_share


def crowding(evidence: PictureEvidence) -> float | None:
    """Return how much overlap with neighbours inflates a typical variance."""
    return None if evidence.typical is None else evidence.typical.crowding


def psf_sigma_nm(evidence: PictureEvidence) -> float | None:
    """Return the width of the PSF in use, a standard deviation in nm."""
    return evidence.psf_sigma_nm


def psf_limit_nm(evidence: PictureEvidence) -> float | None:
    """Return the width of the widest PSF in focus, a standard deviation in nm."""
    return evidence.psf_limit_nm


def blinking_nm(evidence: PictureEvidence) -> float | None:
    """Return the width of what blinks, where none of it is in focus."""
    return evidence.blinking_nm


def far_correlation(evidence: PictureEvidence) -> float | None:
    """Return how much pixels far apart change together."""
    return evidence.far_correlation


def psf_variation(evidence: PictureEvidence) -> float | None:
    """Return how much wider what blinks is in one part than in another."""
    return evidence.psf_variation


def width_nm(evidence: PictureEvidence) -> float | None:
    """Return the width of what blinks, a standard deviation in nm."""
    return evidence.width_nm


def motion_nm(evidence: PictureEvidence) -> float | None:
    """Return how far the sample moved within the window, nm.

    By the motion that covariances show; where that is not known yet, by the shift from the earlier to the later half,
    which are half a window apart.
    """
    claims = _claims(evidence)
    if evidence.motion_nm is not None or claims is None or claims.drift_nm is None:
        return evidence.motion_nm
    return 2 * claims.drift_nm


def motion_left_nm(evidence: PictureEvidence) -> float | None:
    """Return the motion that blurs the picture, nm."""
    moved_nm = motion_nm(evidence)
    return None if moved_nm is None else evidence.moving_share * moved_nm


def drift_y_nm(evidence: PictureEvidence) -> float | None:
    """Return the drift along y one stride before, nm."""
    return None if evidence.drift_nm is None else evidence.drift_nm[0]


def drift_x_nm(evidence: PictureEvidence) -> float | None:
    """Return the drift along x one stride before, nm."""
    return None if evidence.drift_nm is None else evidence.drift_nm[1]


def _claims(evidence: PictureEvidence) -> ClaimEvidence | None:
    """Return the evidence for claims, where the picture has localizations."""
    return evidence.claims if evidence.localizations is not None and len(evidence.localizations) else None


def emitters_per_frame(evidence: PictureEvidence) -> float | None:
    """Count localizations per frame; None where none were made."""
    found = evidence.localizations
    return None if found is None else len(found) / evidence.frames


def photons(evidence: PictureEvidence) -> float | None:
    """Return the photons of a typical localization."""
    return None if evidence.typical is None else evidence.typical.photons


def claimed_precision_nm(evidence: PictureEvidence) -> float | None:
    """Return the precision that a typical localization claims, nm."""
    return None if evidence.typical is None else evidence.typical.claimed_nm


def nena_nm(evidence: PictureEvidence) -> float | None:
    """Return the precision with which positions repeat, nm."""
    return None if evidence.typical is None else evidence.typical.nena_nm


def precision_ratio(evidence: PictureEvidence) -> float | None:
    """Return how many times worse than claimed positions repeat."""
    typical = evidence.typical
    return None if typical is None or typical.nena_nm is None else typical.nena_nm / typical.claimed_nm


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
