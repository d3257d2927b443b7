"""Control law: how a laser follows the number of emitters.

The emitters of a frame are in proportion to the laser's power and to the molecules that are left, which bleach. The
count grows somewhat more slowly, since emitters that overlap are not all found. So every window measures the response,
count / power ^ GROWTH, whatever the power was. Its logarithm falls along a line while molecules bleach. Level and slope
of that line are smoothed over the windows (Holt), and the power becomes what they predict to give the aim.

Reference: C. C. Holt, Int. J. Forecasting 20, 5 (2004), reprint of 1957, double exponential smoothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from daemon.feedback.settings import MAX_FACTOR, FeedbackSettings

GROWTH = 0.8  # measured: .4 to 1, the less the more emitters overlap; too low a value would overshoot
LEVEL_GAIN, SLOPE_GAIN = 0.5, 0.1  # of what a window differs from its prediction
MAX_SLOPE = 0.3  # of the logarithm, a window
JUMP = math.log(1.6)  # beyond it another sample or light is in view, and no trend goes on
WINDOWS_AHEAD = 1.5  # from the middle of the window measured to the middle of those that the power is for
NO_EMITTER = 0.5  # counted where a window has none: fewer than one in two frames

Limit = Literal["", "minimum", "maximum"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One window, as the daemon reports it.

    Attributes:
        emitters_per_frame: localizations per frame.
        crowding: factor by which overlap inflates the variance of a typical position; None where unknown.
    """

    emitters_per_frame: float
    crowding: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """Logarithm of the response, as a line.

    Attributes:
        level: at the newest window.
        slope: a window; negative while molecules bleach.
    """

    level: float
    slope: float = 0.0

    def after(self, windows: float) -> float:
        """Predict the logarithm some windows ahead."""
        return self.level + windows * self.slope

    def with_window(self, measured: float) -> Response:
        """Return the line smoothed with the next window's logarithm."""
        error = measured - self.after(1)
        if abs(error) > JUMP:
            return Response(measured)
        slope = self.slope + SLOPE_GAIN * error
        return Response(self.after(1) + LEVEL_GAIN * error, min(max(slope, -MAX_SLOPE), MAX_SLOPE))


@dataclass(frozen=True, slots=True)
class Decision:
    """The laser's next value.

    Attributes:
        value: of the property.
        why: what was found, in words.
        limit: limit that the value was cut to; empty where it lies between them.
        response: of the sample, for the next decision; None where it could not be measured.
    """

    value: float
    why: str
    limit: Limit = ""
    response: Response | None = None


def decide(
    settings: FeedbackSettings, value: float, measured: Measurement, response: Response | None = None
) -> Decision:
    """Decide about the laser after a window.

    Args:
        settings: aim and limits.
        value: present value of the property.
        measured: window whose frames were all taken at that value.
        response: of the decision before.
    """
    aim, found = settings.emitters_per_frame, measured.emitters_per_frame
    why = f"{found:.3g} emitters a frame, {aim:.3g} wanted"
    if measured.crowding is not None and measured.crowding > settings.max_crowding:
        return _within(settings, value / MAX_FACTOR, f"too crowded to be counted (crowding {measured.crowding:.1f})")
    newest = math.log(max(found, NO_EMITTER)) - GROWTH * math.log(value)
    response = Response(newest) if response is None else response.with_window(newest)
    missing = math.log(aim) - GROWTH * math.log(value) - response.after(WINDOWS_AHEAD)
    if abs(missing) <= settings.band:
        return Decision(value, why, response=response)
    factor = math.exp(missing / GROWTH)
    return _within(settings, value * min(max(factor, 1 / MAX_FACTOR), MAX_FACTOR), why, response)


def _within(settings: FeedbackSettings, value: float, why: str, response: Response | None = None) -> Decision:
    """Cut a value to the limits."""
    if value <= settings.minimum:
        return Decision(settings.minimum, why, "minimum", response)
    if value >= settings.maximum:
        return Decision(settings.maximum, why, "maximum", response)
    return Decision(value, why, response=response)
