"""All methods on one movie with ground truth: scores and times.

Ours, the published Self-STORM and the classical methods.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.methods import METHODS, Task, TimedPicture
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.metrics.ground_truth import LocalizationScore, PictureScore, score_localizations, score_picture
from selfstorm.stream.window import MIN_FRAMES


@dataclass(frozen=True)
class MethodResult:
    """A method's picture, its time and its scores.

    Attributes:
        method: name in METHODS.
        made: the picture.
        score: None if there is nothing to score: a picture that is constant or not finite.
        found: scores of the localizations; None if the method makes none.
    """

    method: str
    made: TimedPicture
    score: PictureScore | None
    found: LocalizationScore | None


def chosen_methods(names: str) -> list[str]:
    """Parse a list of method names with commas.

    Args:
        names: of METHODS; 'all' is all of them.

    Returns:
        Each name once, in the order of METHODS.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    asked = [name.strip().lower() for name in names.split(",") if name.strip()]
    if not asked:
        raise InputError("names no method", where="--methods", hint=f"choose from {', '.join(METHODS)}")
    for name in asked:
        if name != "all" and name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"no method '{name}'", where="--methods", hint=f"{hint}choose from {', '.join(METHODS)}, or 'all'"
            )
    return [name for name in METHODS if name in asked or "all" in asked]


def truth_of(emitters: Array, frames: int, where: object) -> Array:
    """Select the emitters of the first frames.

    Args:
        emitters: (N, 3 or more) frame, y_nm, x_nm.
        frames: number of frames.
        where: the source of the truth, for the error.

    Raises:
        InputError: no emitter is in these frames.
    """
    seen: Array = emitters[emitters[:, 0] < frames]
    if not len(seen):
        raise InputError(
            f"no emitter in frames 0 to {frames - 1}", where=where, hint="give the truth of this movie, from frame 0"
        )
    return seen


def run(task: Task, truth: Array, methods: Sequence[str]) -> Iterator[MethodResult]:
    """Make and score every method's pictures, one at a time.

    Each method first runs on a few frames off the clock: imports and loading of kernels count for no method.

    Args:
        task: input of the methods.
        truth: (N, 3 or more) frame, y_nm, x_nm of the task's frames.
        methods: names of METHODS.
    """
    for method in methods:
        for _ in METHODS[method](replace(task, raw=task.raw[:MIN_FRAMES], paper_epochs=1)):
            pass
        for made in METHODS[method](task):
            found = None if made.localizations is None else score_localizations(made.localizations, truth)
            yield MethodResult(method, made, _score(made, truth), found)


def _score(made: TimedPicture, truth: Array) -> PictureScore | None:
    """Score a picture; None if it shows nothing.

    A method that fails on this movie is a result, not an error.
    """
    if not np.isfinite(made.picture).all() or np.ptp(made.picture) == 0:
        return None
    return score_picture(made.picture, truth[:, 1:3], made.pitch_nm)


def reference(results: Sequence[MethodResult]) -> MethodResult | None:
    """Return our result, the reference of the others; None if it was not run."""
    return next((result for result in results if result.method == "ours"), None)
