"""How much is made of a window: everything, or less of it in named steps where time is short."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Estimate = Literal["density", "emitters", "fused"]
Quality = Literal["best", "fast"]


@dataclass(frozen=True, slots=True)
class ProcessingLevel:
    """What to do with a window. It is decided before the window is begun, so that a replay can decide the same.

    estimate: 'density', what fluctuates; 'emitters', the sum of the frames' emitter maps; 'fused', localisations
    together with the maps. optics: look at them again where it is time to. quick: fewer layers of the density network,
    and what is remembered put together as it was the last time. ahead: look for the emitters of the newest frames
    already, as far as that estimate needs them, for the pictures of windows to come. judged: say how
    good the picture is.
    """

    name: str
    estimate: Estimate
    quality: Quality
    optics: bool = True
    quick: bool = False
    ahead: Estimate | None = None
    judged: bool = True

    @property
    def preview(self) -> ProcessingLevel:
        """What a preview is made with."""
        return replace(self, name="preview", estimate="density", judged=False)


def degradation_ladder(full: ProcessingLevel) -> list[ProcessingLevel]:
    """From everything that was asked for to the least: each takes less time than the one before it."""
    steps = [full]
    if full.quality == "best" and full.estimate != "density":
        steps.append(replace(full, name="fast layers", quality="fast"))
    if full.estimate == "fused":
        steps.append(replace(full, name="emitters", estimate="emitters", quality="fast"))
    if full.estimate != "density":
        steps.append(replace(full, name="density", estimate="density", quality="fast", judged=False))
    return [*steps, replace(steps[-1], name="quick density", optics=False, quick=True, judged=False)]
