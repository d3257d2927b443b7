"""State of a field: everything that changes with frames and windows.

The state is one value, so that a copy and a roll-back are assignments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import Tensor

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.psf.models import Psf
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.brightness import FrameGains
from selfstorm.stream.claim_schedule import ClaimSchedule
from selfstorm.stream.covariance_history import CovarianceHistory
from selfstorm.stream.frame_selection import LightLevels, Rejected
from selfstorm.stream.frame_store import FrameBuffer
from selfstorm.stream.iteration_choice import IterationChoice
from selfstorm.stream.motion_correction import RecentLocalizations
from selfstorm.stream.new_emitters import NewEmitters
from selfstorm.stream.psf_learning import PsfLearning


@dataclass(frozen=True, eq=False)
class FieldState:
    """State that is carried from window to window.

    It is never changed in place, so that a roll-back is an assignment.

    Attributes:
        density: (rows, columns) on the padded grid, of the last window; None before the first.
        history: covariances of the frames so far.
        iteration_choice: iterations of the density that held-out frames confirm.
        claims: evidence for what is claimed of pictures.
        buffer: the frames that windows may still ask for.
        gains: brightness of the frames in the buffer when the newest of them came; None where it was not estimated.
        recent: localizations that show how the sample moves.
        accumulation: sums over all frames of the scene.
        new_emitters: emitters of the last window that are not in the sums yet.
        rejected: number and reason of the frames among them that are left out.
        light: brightness of the last frames.
        psf_learning: statistics and schedule of the PSF's updates.
        last_number: number of the last frame ingested from this stream, -1 before the first.
    """

    density: Tensor | None = None
    history: CovarianceHistory = field(default_factory=CovarianceHistory)
    iteration_choice: IterationChoice = field(default_factory=IterationChoice)
    claims: ClaimSchedule = field(default_factory=ClaimSchedule)
    buffer: FrameBuffer = ()
    gains: FrameGains | None = None
    recent: RecentLocalizations = field(default_factory=RecentLocalizations)
    accumulation: Accumulation = field(default_factory=Accumulation)
    new_emitters: NewEmitters | None = None
    rejected: Rejected = ()
    light: LightLevels = field(default_factory=LightLevels)
    psf_learning: PsfLearning = field(default_factory=PsfLearning)
    last_number: int = -1

    def for_next_stream(self) -> FieldState:
        """Return the state for another stream of the same field.

        Frame numbers start again; everything else remains valid.
        """
        return replace(
            self,
            buffer=(),
            gains=None,
            recent=RecentLocalizations(),
            accumulation=self.accumulation.for_next_stream(),
            rejected=(),
            light=LightLevels(),
            last_number=-1,
            history=self.history.carried_on(),
        )

    def for_next_scene(self, number: int, psf: Psf) -> FieldState:
        """Return the state for another scene from frame `number` on.

        Fits of the PSF start from the one known.
        """
        return replace(
            self,
            density=None,
            buffer=(),
            gains=None,
            recent=RecentLocalizations(),
            accumulation=self.accumulation.for_next_scene(),
            history=CovarianceHistory(since=number),
            iteration_choice=IterationChoice(),
            claims=ClaimSchedule(),
            psf_learning=replace(
                self.psf_learning,
                moments=FieldMoments(),
                waiting=(),
                frames=0,
                wait_windows=0,
                start=psf,
                focus=None,
                far_correlation=None,
                undetermined=FieldMoments(),
                parts=(),
                variation=None,
            ),
        )

    def without(self, numbers: Iterable[int], reason: str) -> FieldState:
        """Return the state with frames left out of all windows to come."""
        return replace(self, rejected=self.rejected + tuple((number, reason) for number in numbers))
