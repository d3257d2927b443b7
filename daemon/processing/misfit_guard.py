"""What must not be learned from."""

from __future__ import annotations

from collections import defaultdict, deque

from selfstorm.reconstruction import Reconstruction

KEPT = 20  # windows that say what misfit is usual
LEAST = 3
JUMP, JUMP_BY = 3.0, 0.2
PATIENCE = 3  # windows in a row, after which what does not fit is what there is to see


class MisfitDetector:
    """Notices a misfit that jumps.

    jumps: how many windows in a row did.
    """

    def __init__(self) -> None:
        self._usual: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.jumps = 0

    def jumped(self, result: Reconstruction) -> str:
        """Why a window must not be learned from, empty where it may."""
        usual = sorted(self._usual[result.estimate])
        typical = usual[len(usual) // 2] if len(usual) >= LEAST else 1.0
        misfit = result.metrics["misfit"]
        if result.state == "warm" and misfit > max(JUMP * typical, typical + JUMP_BY):
            self.jumps += 1
            return f"the misfit jumped from {typical:.1%} to {misfit:.1%}"
        self.jumps = 0
        self._usual[result.estimate].append(misfit)
        return ""
