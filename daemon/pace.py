"""How much is made of a window, so that the worker is free when the next one comes: best first, less under load."""

from __future__ import annotations

from typing import get_args

from selfstorm.model import Estimate

STEPS: tuple[Estimate, ...] = get_args(Estimate)[::-1]  # fused, emitters, density
SPARE = 0.8  # of a stride's time may be planned for
FORGETS = 0.95  # a window: what a step was seen to cost, so that it is tried again when the load may be gone


class Pace:
    """Chooses the estimate of every window from what frames cost at each step.

    wanted: the estimate the user asked for, which is never exceeded. steady: keep it whatever it costs (lossless).
    """

    def __init__(self, wanted: Estimate, *, steady: bool) -> None:
        self._steps = STEPS[STEPS.index(wanted) :]
        self._steady = steady
        self._cost_s: dict[Estimate, float] = {}
        self.estimate: Estimate = wanted

    @property
    def wanted(self) -> Estimate:
        """What the user asked for."""
        return self._steps[0]

    def took(self, seconds: float, new_frames: int, stride: int, stride_s: float) -> bool:
        """A window of new_frames looked at for the first time took seconds, and a stride lasts stride_s.

        Returns whether the next window will be made at another step.
        """
        if self._steady or new_frames == 0 or stride_s <= 0:
            return False
        self._cost_s = {step: cost * FORGETS for step, cost in self._cost_s.items()}
        self._cost_s[self.estimate] = seconds / new_frames
        before = self.estimate
        affordable = (step for step in self._steps if self._cost_s.get(step, 0.0) * stride <= SPARE * stride_s)
        self.estimate = next(affordable, self._steps[-1])
        return self.estimate != before
