"""Load control: the processing level of each window.

It is chosen so that the worker is free when the next window arrives.

Costs of the steps are kept in units of one iteration of the density network, which every window measures: on a busy
machine or with another field all costs change together, and no step has to be tried to know its cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from selfstorm.stages.density import PREVIEW_ITERATIONS, QUICK_ITERATIONS
from selfstorm.stages.pipeline import STAGES
from selfstorm.stream.processing_level import Estimate, ProcessingLevel, degradation_ladder

# Share of a stride's time that a level may take: to step up to it, and to stay at it.
MAX_SHARE_TO_STEP_UP, MAX_SHARE_TO_STAY = 0.7, 0.85
# Share for a single window with skipped frames to catch up: one window waits, none is skipped.
MAX_SHARE_ONCE = 1.7
NEWEST_WEIGHT = 0.3  # of a new measurement in the running mean
# Shares of all time for work that is due now and then and does not fit into a stride: PSF updates, checks of claims.
MAX_OCCASIONAL_SHARES = {"optics": 0.05, "claims": 0.1}
TIMED_STAGES = tuple(stage for stage in STAGES if stage.costs)
# Launches of the same units, counted (python -m benchmarks.stride). On a graphics card a step takes at least as long as
# its launches, while an iteration of a small field is part of one.
INITIAL_LAUNCHES = {
    "ingest": 17,
    "averaging": 30,
    "preview": 200,
    "quality": 20,
    "other": 70,
    "emitters fast": 3,
    "emitters best": 6,
    "localizations fast": 60,
    "localizations best": 90,
    "drawing": 150,
}
# Initial costs in iterations, measured on 64 x 64 pixels and one core. Stages know their own.
INITIAL_COSTS = {
    "ingest": 2.2,  # a frame
    "averaging": 90.0,  # a window, from here on
    "optics": 200.0,
    "preview": PREVIEW_ITERATIONS + 8.0,
    "quality": 26.0,
    "claims": 600.0,
    "other": 10.0,
} | {key: cost for stage in TIMED_STAGES for key, cost in stage.costs.items()}


@dataclass(frozen=True, slots=True)
class Workload:
    """Work of one window.

    Attributes:
        new: frames to ingest.
        unseen: frames of the window without a search for emitters so far.
        iterations: of the density network.
        stride: frames until the next window.
        stride_s: seconds until the next window.
        psf_update_due: whether the PSF should be fine-tuned again.
        claims_due: whether what is claimed of pictures should be checked again.
    """

    new: int
    unseen: int
    iterations: int
    stride: int
    stride_s: float
    psf_update_due: bool
    claims_due: bool = False


class LoadController:
    """Chooses the processing level of every window.

    Args:
        full: the configured level, which is never exceeded.
        steady: always process at the full level (lossless).
        iteration_s: seconds per iteration of the density network, from a first measurement.
        launch_s: seconds that an operation takes at least on the device.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        full: ProcessingLevel,
        *,
        steady: bool,
        iteration_s: float,
        launch_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = [full] if steady else degradation_ladder(full)
        self._steady, self._clock, self._iteration_s = steady, clock, iteration_s
        self._costs = {
            key: max(cost, INITIAL_LAUNCHES.get(key, 0) * launch_s / iteration_s) for key, cost in INITIAL_COSTS.items()
        }
        self._step = 0
        self._done_s = dict.fromkeys(MAX_OCCASIONAL_SHARES, clock())

    @property
    def step(self) -> ProcessingLevel:
        """Level of the last window, on the degradation ladder."""
        return self._steps[self._step]

    def at_most(self, estimate: Estimate) -> None:
        """Limit all following windows to an estimate, for lack of memory."""
        within = [step for step in self._steps if step.estimate == estimate]
        self._steps = within or [replace(self._steps[0], name=estimate, estimate=estimate)]
        self._step = 0

    def choose_level(self, demand: Workload) -> ProcessingLevel:
        """Choose the level of the next window."""
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
        left_s = MAX_SHARE_TO_STAY * demand.stride_s - self.seconds(chosen, demand)
        for work in _occasional(chosen, demand):
            cost_s = self._costs[work] * self._iteration_s
            put_off = cost_s > left_s and self._clock() - self._done_s[work] < cost_s / MAX_OCCASIONAL_SHARES[work]
            if put_off:
                chosen = replace(chosen, optics=False) if work == "optics" else replace(chosen, claims=False)
            else:
                self._done_s[work] = self._clock()
                left_s -= cost_s
        return chosen

    def max_frames(self, stride_s: float) -> int:
        """Return how many frames can be ingested in the time of one window."""
        return int(MAX_SHARE_ONCE * stride_s / (self._costs["ingest"] * self._iteration_s))

    def seconds(self, level: ProcessingLevel, demand: Workload) -> float:
        """Predict the seconds that a window takes at a level."""
        cost = self._costs
        iterations = demand.new * cost["ingest"] + cost["other"]
        iterations += (
            min(QUICK_ITERATIONS, demand.iterations)
            if level.quick
            else demand.iterations + cost["averaging"] + cost["preview"]
        )
        for stage in TIMED_STAGES:
            if level.estimate in stage.estimates:
                iterations += (demand.unseen if stage.per_frame else 1) * cost[stage.cost_key(level.quality)]
        if level.measure_quality:
            iterations += cost["quality"]
        return iterations * self._iteration_s

    def record_timing(
        self, level: ProcessingLevel, demand: Workload, seconds: Mapping[str, float], searched: int
    ) -> None:
        """Update the costs with the measured times of a window.

        Args:
            level: that it was processed at.
            demand: work of the window.
            seconds: measured, by step.
            searched: frames that were searched for emitters.
        """
        iterations = min(QUICK_ITERATIONS, demand.iterations) if level.quick else demand.iterations
        self._iteration_s += NEWEST_WEIGHT * (
            seconds.get("density", iterations * self._iteration_s) / iterations - self._iteration_s
        )
        amounts = {"ingest": demand.new} | {stage.name: searched for stage in TIMED_STAGES if stage.per_frame}
        names = {stage.name: stage.cost_key(level.quality) for stage in TIMED_STAGES}
        for step, took_s in seconds.items():
            name = names.get(step, step)
            if name not in self._costs or name in MAX_OCCASIONAL_SHARES.keys() - _occasional(level, demand):
                continue
            if amount := amounts.get(step, 1):
                known = self._costs[name]
                self._costs[name] = known + NEWEST_WEIGHT * (took_s / self._iteration_s / amount - known)

    def _affordable(self, number: int, step: ProcessingLevel, demand: Workload) -> bool:
        """Return whether a level fits this window and all that follow."""
        return self._lasts(number, step, demand) and self.seconds(step, demand) <= MAX_SHARE_ONCE * demand.stride_s

    def _lasts(self, number: int, step: ProcessingLevel, demand: Workload) -> bool:
        """Return whether a level can be kept in the long run.

        Then every frame was searched when it was new, and only a stride of new frames is left to search.
        """
        share = MAX_SHARE_TO_STAY if number >= self._step else MAX_SHARE_TO_STEP_UP
        new = replace(demand, new=min(demand.new, demand.stride), unseen=min(demand.unseen, demand.stride))
        return self.seconds(step, new) <= share * demand.stride_s


def _occasional(level: ProcessingLevel, demand: Workload) -> tuple[str, ...]:
    """List the occasional work that a level does where it is due."""
    due = {
        "optics": level.optics and demand.psf_update_due,
        "claims": level.claims and level.measure_quality and demand.claims_due,
    }
    return tuple(work for work, is_due in due.items() if is_due)
