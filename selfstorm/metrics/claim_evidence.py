"""Evidence for what is claimed of a picture."""

from __future__ import annotations

from dataclasses import dataclass

from selfstorm.frames import Array


@dataclass(frozen=True, slots=True)
class DecoyCount:
    """Count of localizations in some frames and in their decoys.

    Attributes:
        found: Localizations of the frames themselves.
        simulated: Localizations in simulated frames with the same emitters.
        false: Those of them with no emitter near.
        decoys: Localizations in frames of background alone.
        excess: Variance of the noise in the frames, over that of photons.
    """

    found: int
    simulated: int
    false: int
    decoys: int
    excess: float

    @property
    def false_share(self) -> float | None:
        """Estimated share of false localizations; None where none were found."""
        if not self.found:
            return None
        return min(max(self.false / max(self.simulated, 1), self.decoys / self.found), 1.0)

    @property
    def nothing_real(self) -> bool:
        """True where background alone shows as many localizations."""
        return self.found > 0 and self.decoys >= self.found


@dataclass(frozen=True, slots=True)
class ClaimEvidence:
    """Evidence for the claims on a picture, from a part of its field.

    Attributes:
        resolution_nm: Of the structure (`structure_resolution_nm`); None where it is no finer than the PSF.
        fidelity: Estimated correlation with the structure; None where there were too few frames to halve.
        drift_nm: Distance between the halves' structures; None where no shift makes them agree better, and likewise.
        trust_map: (H, W) float32 of the field, 0..1, NaN outside the part; None likewise.
        decoys: Count of false localizations.
        one_density_nm: What the same frames claim when one density is behind both halves; None likewise.
    """

    resolution_nm: float | None
    fidelity: float | None
    drift_nm: float | None
    trust_map: Array | None
    decoys: DecoyCount
    one_density_nm: float | None = None
