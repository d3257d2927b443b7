"""Control law: how a laser follows the number of emitters.

The emitters of a frame are in proportion to the laser's power and to the molecules that are left, which bleach. So the
power is multiplied: by (aim / measured) ^ GAIN, at most by MAX_FACTOR at a time. That is an integral controller in
logarithms, which lags behind bleaching, a slope there, by an offset. A lean follows the slope: a factor of every
change, to which each adds a tenth of the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from daemon.feedback.settings import MAX_FACTOR, FeedbackSettings

GAIN = 0.5  # below 1: a count is noisy, and emitters that shine for long were activated before
LEAN_GAIN, MAX_LEAN = 0.1, 0.1  # of the logarithm, a change
MAX_LEANING_ERROR = math.log(1.5)  # beyond it the sample is not held yet, and what is missing is no slope
NO_EMITTER = 0.5  # counted where a window has none: fewer than one in two frames

Limit = Literal["", "minimum", "maximum"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One window, as the daemon reports it.

    Attributes:
        emitters_per_frame: localisations per frame.
        crowding: factor by which overlap inflates the variance of a typical position; None where unknown.
    """

    emitters_per_frame: float
    crowding: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The laser's next value.

    Attributes:
        value: of the property.
        why: what was found, in words.
        limit: limit that the value was cut to; empty where it lies between them.
        lean: logarithm that the next change is multiplied by, to follow bleaching.
    """

    value: float
    why: str
    limit: Limit = ""
    lean: float = 0.0


def decide(settings: FeedbackSettings, value: float, measured: Measurement, lean: float = 0.0) -> Decision:
    """Decide about the laser after a window.

    Args:
        settings: aim and limits.
        value: present value of the property.
        measured: window whose frames were all taken at that value.
        lean: of the decision before.
    """
    aim, found = settings.emitters_per_frame, measured.emitters_per_frame
    why = f"{found:.3g} emitters a frame, {aim:.3g} wanted"
    if measured.crowding is not None and measured.crowding > settings.max_crowding:
        return _within(settings, value / MAX_FACTOR, f"too crowded to be counted (crowding {measured.crowding:.1f})")
    if abs(found - aim) <= settings.band * aim:
        return Decision(value, why, lean=lean)
    error = math.log(aim / max(found, NO_EMITTER))
    if abs(error) < MAX_LEANING_ERROR:
        lean = min(max(lean + LEAN_GAIN * error, -MAX_LEAN), MAX_LEAN)
    factor = math.exp(GAIN * error + lean)
    return _within(settings, value * min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR), why, lean)


def _within(settings: FeedbackSettings, value: float, why: str, lean: float = 0.0) -> Decision:
    """Cut a value to the limits, where nothing leans."""
    if value <= settings.minimum:
        return Decision(settings.minimum, why, "minimum")
    if value >= settings.maximum:
        return Decision(settings.maximum, why, "maximum")
    return Decision(value, why, lean=lean)
