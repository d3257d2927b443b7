"""Processing levels: everything the settings ask for, or less.

Where time is short, the processing is reduced in named steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Estimate = Literal["density", "emitters", "fused"]
Quality = Literal["best", "fast"]


@dataclass(frozen=True, slots=True)
class ProcessingLevel:
    """Extent of the processing of a window.

    It is chosen before the window is begun, so that a replay can choose the same.

    Attributes:
        name: shown to the user.
        estimate: 'density', what fluctuates; 'emitters', the sum of the frames' emitter maps; 'fused', both with
            localizations.
        quality: sets the iterations.
        optics: update the PSF where that is due.
        quick: fewer iterations of stage A, and the averaging plan of the last window.
        ahead: also find the emitters of the newest frames as this estimate needs them, for windows to come.
        measure_quality: measure the quality of the picture.
        claims: check what is claimed of pictures where that is due.
    """

    name: str
    estimate: Estimate
    quality: Quality
    optics: bool = True
    quick: bool = False
    ahead: Estimate | None = None
    measure_quality: bool = True
    claims: bool = True

    @property
    def preview(self) -> ProcessingLevel:
        """Level of a preview."""
        return replace(self, name="preview", estimate="density", measure_quality=False)


def degradation_ladder(full: ProcessingLevel) -> list[ProcessingLevel]:
    """List the levels from the full processing to the least.

    Each is faster than the one before it.
    """
    steps = [full]
    if full.quality == "best" and full.estimate != "density":
        steps.append(replace(full, name="fast layers", quality="fast"))
    if full.estimate == "fused":
        steps.append(replace(full, name="emitters", estimate="emitters", quality="fast"))
    if full.estimate != "density":
        steps.append(replace(full, name="density", estimate="density", quality="fast", measure_quality=False))
    return [*steps, replace(steps[-1], name="quick density", optics=False, quick=True, measure_quality=False)]
