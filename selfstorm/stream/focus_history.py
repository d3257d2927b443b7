"""Compare the width of what blinks with the sharpest of the run.

A PSF in use says little of a focus that leaves: it is fitted to all frames so far, and stays where it was given.
The width that the newest frames show (`selfstorm.calibration.focus`) follows at once.
Measurements: docs/decisions/0035.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from statistics import median

from selfstorm.metrics.registry import METRICS
from selfstorm.metrics.verdict import MAX_FAR_CORRELATION
from selfstorm.reconstruction import Reconstruction

NEWEST_WIDTHS = 5  # whose median counts: one is wrong by 2 to 5 %, and a single hand on the stage is no drift


class FocusHistory:
    """Widths of what blinks, over a run.

    It outlives a model: a focus that is lost at once makes windows that no model fits.
    """

    def __init__(self) -> None:
        self._newest_nm: deque[float] = deque(maxlen=NEWEST_WIDTHS)
        self._sharpest_nm = math.inf

    def compare(self, result: Reconstruction) -> Reconstruction:
        """Return a picture with its `defocus`, and a note where that is serious.

        Unchanged where its window shows no width, and before there are enough of them.
        """
        width_nm = result.metrics.get("width_nm")
        pattern = result.metrics.get("far_correlation", 0.0) > MAX_FAR_CORRELATION  # no width of emitters
        if width_nm is None or pattern:
            return result
        if not self._newest_nm or width_nm != self._newest_nm[-1]:  # frames that do not show it leave the last one
            self._newest_nm.append(width_nm)
        if len(self._newest_nm) < NEWEST_WIDTHS:
            return result
        newest_nm = median(self._newest_nm)
        self._sharpest_nm = min(self._sharpest_nm, newest_nm)
        found = {"defocus": newest_nm / self._sharpest_nm}
        return replace(result, metrics={**result.metrics, **found}, notes=result.notes + METRICS.cautions(found))
