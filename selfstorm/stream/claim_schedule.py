"""Schedule of the evidence for claims: a value of the field's state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from selfstorm.metrics.claim_evidence import ClaimEvidence


@dataclass(frozen=True, slots=True)
class ClaimSchedule:
    """The evidence in use, and when the next is due.

    Attributes:
        evidence: Of the last check; None before the first.
        wait_windows: Windows until the next check.
    """

    evidence: ClaimEvidence | None = None
    wait_windows: int = 0

    @property
    def due(self) -> bool:
        """True where this window is to be checked."""
        return self.evidence is None or self.wait_windows <= 0

    @property
    def nothing_real(self) -> bool:
        """True where background alone shows as many localizations."""
        return self.evidence is not None and self.evidence.decoys.nothing_real

    @property
    def before_picture(self) -> bool:
        """True where a check that is due decides whether the picture is shown.

        Of the first picture nothing is known, and nothing was real of those before.
        """
        return self.evidence is None or self.nothing_real

    def passed(self) -> ClaimSchedule:
        """Return the schedule after a window that was not checked."""
        return replace(self, wait_windows=max(self.wait_windows - 1, 0))
