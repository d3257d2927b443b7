"""Schedule of fits and fine-tuning of a stream's PSF, with its moments.

The PSF is fitted to the moments, which also show whether anything is in focus.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace

from torch import Tensor

from selfstorm.calibration.far_correlation import far_correlation
from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.focus import Focus, assess_focus
from selfstorm.calibration.psf_finetuning import TUNED, Budget, FitReport, finetune
from selfstorm.calibration.psf_selection import find_psf
from selfstorm.calibration.psf_variation import MAX_BLOCKS, PsfVariation, compare_widths, part_moments
from selfstorm.frames import Array
from selfstorm.metrics.verdict import MAX_FAR_CORRELATION
from selfstorm.psf.models import Psf
from selfstorm.stream.settings import Settings

# Windows until the next fine-tuning: frames that agreed will agree for a while, a fit that failed will fail again.
WAIT_WINDOWS = {"kept": 0, "not needed": 3, "not possible": 3, "rolled back": 10}


@dataclass(frozen=True, eq=False)
class PsfLearning:
    """Statistics and schedule of the PSF's updates.

    Attributes:
        moments: field moments of all frames so far.
        frames: number of frames in the moments.
        start: PSF that fits start from, None for the built-in starts.
        wait_windows: windows until the next fine-tuning.
        refit_due: a fit to the moments is due.
        holds_first_window: the moments hold the window that the model was learned from already.
        waiting: (T, H, W) photons each, frames that are not in the moments yet: no picture waits for these.
        focus: what the newest frames that determine it show of the focus; None before any do.
        undetermined: moments of the frames since then.
        far_correlation: of changes far apart in the newest frames that show it; None before any do.
        parts: moments of the parts of the field, of the newest blocks of frames.
        variation: widths of what blinks in these parts; None where too little blinks.
    """

    moments: FieldMoments = field(default_factory=FieldMoments)
    frames: int = 0
    start: Psf | None = None
    wait_windows: int = 0
    refit_due: bool = False
    holds_first_window: bool = False
    waiting: tuple[Tensor, ...] = ()
    focus: Focus | None = None
    undetermined: FieldMoments = field(default_factory=FieldMoments)
    far_correlation: float | None = None
    parts: tuple[Array, ...] = ()
    variation: PsfVariation | None = None

    @property
    def out_of_focus(self) -> bool:
        """True where nothing that blinks is in focus."""
        return self.focus is not None and self.focus.lost

    def with_frames(self, photons: Tensor, to_come: int = 0) -> PsfLearning:
        """Add frames to the moments, when these are needed.

        Those of the first window are not added: the moments hold them already.

        A fit is due each time the stream is twice as long: its error bars shrink slowly.

        Args:
            photons: (T, H, W) photons.
            to_come: frames of their window that follow.
        """
        if self.holds_first_window:
            return replace(self, holds_first_window=to_come > 0)
        if not len(photons):
            return self
        frames = self.frames + len(photons)
        due = self.refit_due or frames.bit_length() > self.frames.bit_length()
        return replace(self, waiting=(*self.waiting, photons), frames=frames, refit_due=due)

    def up_to_date(self) -> PsfLearning:
        """Return the same with all frames in the moments."""
        if not self.waiting:
            return self
        learning = replace(self, moments=copy(self.moments), undetermined=copy(self.undetermined), waiting=())
        for photons in self.waiting:
            frames = photons.cpu().numpy()
            learning.undetermined.join(learning.moments.add(frames))
            learning = learning.with_changes(frames)
        return learning

    def with_changes(self, frames: Array) -> PsfLearning:
        """Return the same with what changes far apart and in each part.

        Args:
            frames: (T, H, W) photons, newer than all before.
        """
        far, parts = far_correlation(frames), (*self.parts, *part_moments(frames))[-MAX_BLOCKS:]
        far = self.far_correlation if far is None else far
        pattern = far is not None and far > MAX_FAR_CORRELATION  # no width of emitters
        return replace(self, far_correlation=far, parts=parts, variation=None if pattern else compare_widths(parts))

    def assessed(self, settings: Settings) -> PsfLearning:
        """Return the same with the focus of the newest frames.

        When the focus is found, what the moments hold of the time before is dropped, and a fit is due.
        """
        learning = self.up_to_date()
        focus = assess_focus(learning.undetermined, settings.pixel_nm, settings.psf)
        if focus is None:
            return learning
        moments = learning.undetermined
        learning = replace(learning, focus=focus, undetermined=FieldMoments())
        if focus.lost or not self.out_of_focus:
            return learning
        return replace(learning, moments=moments, refit_due=True, parts=(), variation=None)

    def due(self, settings: Settings) -> bool:
        """Return whether a fit or a fine-tuning of the PSF is due."""
        return self.refit_due or (self.wait_windows <= 0 and settings.tuning_steps > 0)

    def update(self, psf: Psf, frames: Tensor, settings: Settings) -> tuple[PsfLearning, Psf, FitReport | None]:
        """Fit the PSF to the moments, or fine-tune it on a window, if due.

        Args:
            psf: the PSF so far.
            frames: (T, H, W) photons at equal brightness.
            settings: settings of the stream.

        Returns:
            The schedule from here on, the PSF to use, and what fine-tuning did: None where it was not due.
        """
        if self.waiting:
            return self.up_to_date().update(psf, frames, settings)
        if self.out_of_focus:
            return self, psf, None
        if self.refit_due and psf.origin != TUNED:
            psf = find_psf(self.moments, settings.pixel_nm, self.start).psf
        wait = self.wait_windows - 1
        if wait >= 0 or settings.tuning_steps == 0:
            return replace(self, refit_due=False, wait_windows=wait), psf, None
        report = finetune(psf, frames, settings.pixel_nm, Budget(settings.tuning_steps))
        return replace(self, refit_due=False, wait_windows=WAIT_WINDOWS[report.outcome]), report.psf, report
