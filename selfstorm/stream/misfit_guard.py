"""Detect windows that the model must not learn from.

Their misfit jumps, and more light than before is unexplained.
"""

from __future__ import annotations

from collections import defaultdict, deque

from selfstorm.reconstruction import Reconstruction

KEPT_WINDOWS = 20  # that say which misfit is usual
MIN_WINDOWS = 3
RECENT_WINDOWS = 3  # that say how much light is usually unexplained: it fades with the sample
JUMP_FACTOR, JUMP_BY = 3.0, 0.2
UNEXPLAINED_FACTOR = 2.0
MAX_JUMPS = 3  # windows in a row; after them, what does not fit is the sample


class MisfitGuard:
    """Compares the misfit of each window with those before it.

    The misfit is the unexplained share of the mean frame's variance. Where a sample bleaches, the variance fades and
    the share of what the model never explained (stray light, the camera's pattern) rises, though the model is as good
    as before. So a window is rejected only where the unexplained variance itself rises too: bleaching never raises it,
    and what ruins a model does.

    Attributes:
        jumps: windows in a row that were rejected.
    """

    def __init__(self) -> None:
        self._misfits: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT_WINDOWS))
        self._unexplained: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT_WINDOWS))
        self.jumps = 0

    def reject(self, result: Reconstruction) -> str:
        """Return why a window must not be learned from, empty where it may."""
        misfit = result.metrics["misfit"]
        unexplained = misfit * float(result.raw_mean.var(dtype="float64"))  # ADU^2
        typical, fading = _median(self._misfits[result.estimate], 1.0), _median(self._unexplained[result.estimate], 0.0)
        jumped = misfit > max(JUMP_FACTOR * typical, typical + JUMP_BY)
        if result.state == "warm" and jumped and unexplained > UNEXPLAINED_FACTOR * fading:
            self.jumps += 1
            return f"the misfit jumped from {typical:.1%} to {misfit:.1%}"
        self.jumps = 0
        self._misfits[result.estimate].append(misfit)
        self._unexplained[result.estimate].append(unexplained)
        return ""


def _median(values: deque[float], otherwise: float) -> float:
    """Upper median of enough values."""
    return sorted(values)[len(values) // 2] if len(values) >= MIN_WINDOWS else otherwise
