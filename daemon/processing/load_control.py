"""How much to make of each window, so that the worker is free when the next one comes: best first, less under load.

What a step costs is kept in units of one layer of the density network, which every window measures: when the machine
is shared or the field is another, all of it moves together, and no step has to be tried to know what it costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from selfstorm.stages.density import PREVIEW_LAYERS, QUICK_LAYERS
from selfstorm.stages.pipeline import STAGES
from selfstorm.stream.processing_level import Estimate, ProcessingLevel, degradation_ladder

CLIMB, STAY = 0.7, 0.85  # of a stride's time may be planned for, to do more than before and to go on as before
# More than a stride's time, once, to look at frames that were passed by: one window waits, none is skipped.
ONCE = 1.7
NEWER = 0.3  # share of the newest measurement in what is kept
TUNING_SHARE = 0.05  # of all time, at most, for looking at the optics where it does not fit into a stride
TIMED_STAGES = tuple(stage for stage in STAGES if stage.costs)
# What steps cost in layers, before they were measured: on 64 x 64 pixels and one core. Stages know their own.
FIRST_GUESS = {
    "watch": 2.2,  # a frame
    "memory": 90.0,  # a window, from here on
    "optics": 200.0,
    "preview": PREVIEW_LAYERS + 8.0,
    "quality": 26.0,
    "other": 10.0,
} | {key: cost for stage in TIMED_STAGES for key, cost in stage.costs.items()}


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to do.

    new: frames to watch. unseen: frames of the window whose emitters nobody has looked for. layers: of the density
    network. stride, stride_s: frames and seconds until the next window. optics_due: time to look at the optics again.
    """

    new: int
    unseen: int
    layers: int
    stride: int
    stride_s: float
    psf_update_due: bool


class LoadController:
    """Chooses the effort of every window.

    full: what the user asked for, which is never exceeded. steady: keep to it whatever it costs (lossless).
    layer_s: what a layer of the density network takes, from a first try.
    """

    def __init__(
        self, full: ProcessingLevel, *, steady: bool, layer_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps = [full] if steady else degradation_ladder(full)
        self._steady, self._clock, self._layer_s = steady, clock, layer_s
        self._layers_for = dict(FIRST_GUESS)
        self._step = 0
        self._tuned_s = clock()

    @property
    def step(self) -> ProcessingLevel:
        """The step of the last window."""
        return self._steps[self._step]

    def at_most(self, estimate: Estimate) -> None:
        """From now on make no more than that estimate of a window: there is no memory for more."""
        within = [step for step in self._steps if step.estimate == estimate]
        self._steps = within or [replace(self._steps[0], name=estimate, estimate=estimate)]
        self._step = 0

    def effort(self, demand: Workload) -> ProcessingLevel:
        """What to make of the next window."""
        if self._steady or demand.stride_s <= 0:
            return self.step
        self._step = next(
            (n for n, step in enumerate(self._steps) if self._affordable(n, step, demand)), len(self._steps) - 1
        )
        chosen = self.step
        for number, better in enumerate(self._steps[: self._step]):
            if better.estimate != chosen.estimate and self._lasts(number, better, demand):
                chosen = replace(chosen, name=f"{chosen.name}, catching up", ahead=better.estimate)
                break
        if chosen.optics and demand.psf_update_due:
            left_s = STAY * demand.stride_s - self.seconds(chosen, demand)
            cost_s = self._layers_for["optics"] * self._layer_s
            put_off = cost_s > left_s and self._clock() - self._tuned_s < cost_s / TUNING_SHARE
            chosen = replace(chosen, optics=not put_off)
            if chosen.optics:
                self._tuned_s = self._clock()
        return chosen

    def watchable(self, stride_s: float) -> int:
        """Frames that can be watched in the time one window may take."""
        return int(ONCE * stride_s / (self._layers_for["watch"] * self._layer_s))

    def seconds(self, effort: ProcessingLevel, demand: Workload) -> float:
        """What a window is expected to take."""
        cost = self._layers_for
        layers = demand.new * cost["watch"] + cost["other"]
        layers += QUICK_LAYERS if effort.quick else demand.layers + cost["memory"] + cost["preview"]
        for stage in TIMED_STAGES:
            if effort.estimate in stage.estimates:
                layers += (demand.unseen if stage.per_frame else 1) * cost[stage.cost_key(effort.quality)]
        if effort.judged:
            layers += cost["quality"]
        return layers * self._layer_s

    def record_timing(
        self, effort: ProcessingLevel, demand: Workload, seconds: Mapping[str, float], looked_at: int
    ) -> None:
        """Learn from what the steps of a window took."""
        layers = QUICK_LAYERS if effort.quick else demand.layers
        self._layer_s += NEWER * (seconds.get("density", layers * self._layer_s) / layers - self._layer_s)
        amounts = {"watch": demand.new} | {stage.name: looked_at for stage in TIMED_STAGES if stage.per_frame}
        names = {stage.name: stage.cost_key(effort.quality) for stage in TIMED_STAGES}
        for step, took_s in seconds.items():
            name = names.get(step, step)
            if (step == "optics" and not effort.optics) or name not in self._layers_for:
                continue
            if amount := amounts.get(step, 1):
                known = self._layers_for[name]
                self._layers_for[name] = known + NEWER * (took_s / self._layer_s / amount - known)

    def _affordable(self, number: int, step: ProcessingLevel, demand: Workload) -> bool:
        """Whether a step can be made of this window and of all that follow."""
        return self._lasts(number, step, demand) and self.seconds(step, demand) <= ONCE * demand.stride_s

    def _lasts(self, number: int, step: ProcessingLevel, demand: Workload) -> bool:
        """Whether a step can be kept up once every frame was looked at when it was new."""
        share = STAY if number >= self._step else CLIMB
        new = replace(demand, new=min(demand.new, demand.stride), unseen=min(demand.unseen, demand.stride))
        return self.seconds(step, new) <= share * demand.stride_s
