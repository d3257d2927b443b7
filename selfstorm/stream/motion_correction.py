"""Choose how a window is moved to the time of its newest frame.

The picture shows where the sample is, not where it was: localizations and maps of older frames are moved along with it.
Held-out localizations of the newest frames decide how: as they lay, moved as a whole or structure by structure, and
from how far back. Where no motion predicts them, older frames are left out (docs/decisions/0024).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from selfstorm.compute.fetch import fetch
from selfstorm.compute.neighbours import tree_of
from selfstorm.localizations import Localizations
from selfstorm.stream.registration import HISTORY_FRAMES, Registration, displacement, register

Floats = NDArray[np.float64]
Kind = Literal["none", "rigid", "local"]

MAX_RECENT = 400_000
MAX_REGISTERED_PER_UM2 = 600.0
MAX_REGISTERED = 24_000
REGISTERED_FRAMES = 140  # or the window, where it is longer: starts and stops are too old soon
RIGID_SHARE = 12  # a rigid motion is estimated from every twelfth
MIN_RIGID = 2_000  # localizations, where there are as many
MIN_REGISTERED = 300
HELD_OUT_FRAMES = 8
GAP_FRAMES = 4  # before them: an emitter that stays on would predict itself
MIN_HELD_OUT, MAX_HELD_OUT = 60, 1_000
SPANS = (100, 50, 25)  # frames that may be drawn, besides the whole window
PREDICTION_SD_NM = 25.0
PREDICTION_REACH = 3.0
OUTLIER_SHARE = 0.1  # of localizations that no structure predicts
MIN_GAIN_Z = 3.0  # standard errors by which a shorter or a moved window must predict better
PLACE_NM = 600.0
MIN_IN_PLACE = 4
MAX_LOSS_Z = 2.0  # standard errors by which the motion may predict a place worse than none


@dataclass(frozen=True)
class RecentLocalizations:
    """Localizations of the last 200 frames, in the order of their frames.

    Attributes:
        frame: (E,) numbers of their frames.
        yx_nm: (E, 2) from the corner of the first camera pixel.
    """

    frame: Floats = field(default_factory=lambda: np.zeros(0))
    yx_nm: Floats = field(default_factory=lambda: np.zeros((0, 2)))

    def with_window(self, found: Localizations, first: int, now: int) -> RecentLocalizations:
        """Replace the localizations from frame `first` on.

        Args:
            found: localizations of a window.
            first: number that the window starts with.
            now: number of its newest frame.
        """
        kept = (self.frame < first) & (self.frame > now - HISTORY_FRAMES)
        frame, yx_nm = _places(found)
        return RecentLocalizations(
            np.concatenate([self.frame[kept], frame])[-MAX_RECENT:],
            np.concatenate([self.yx_nm[kept], yx_nm])[-MAX_RECENT:],
        )


@dataclass(frozen=True)
class MotionCorrection:
    """Motion by which a window's frames are moved to its newest one.

    Attributes:
        kind: 'none' where the frames are drawn as they lay.
        first: number of the first frame that is drawn.
        now: number of the newest frame.
        registration: the motion; None for 'none'.
        uncertain: share of the newest localizations that lie where the frames as they lay predict them better.
    """

    kind: Kind
    first: int
    now: int
    registration: Registration | None = None
    uncertain: float = 0.0

    def moved(self, found: Localizations, first: int) -> Localizations:
        """Select localizations from frame `first` on, where they lie now."""
        found = found.where(found.frame >= first)
        if self.registration is None or not len(found):
            return found
        frame, yx_nm = _places(found)
        by = torch.as_tensor(self.registration.displacements_nm(frame, yx_nm, self.now)).to(found.y_nm)
        return found.displaced(by)

    def displacement_px(self, field: tuple[int, int], pixel_nm: float, frame: float) -> Tensor | None:
        """Return how far each camera pixel moved since a frame, (2, H, W) pixels.

        None where nothing is moved.
        """
        if self.registration is None:
            return None
        motion = self.registration.raster(field, pixel_nm).reshape(2, 2, -1).transpose(2, 0, 1)
        by = displacement(motion, np.full(len(motion), self.now - frame)) / pixel_nm
        return torch.as_tensor(by.T.reshape(2, *field), dtype=torch.float32)


@dataclass(frozen=True)
class _Candidate:
    kind: Kind
    first: int
    registration: Registration | None
    predicted: Floats  # (held out,) log likelihood of each


def choose_correction(
    recent: RecentLocalizations, first: int, now: int, *, field_nm: tuple[float, float], moving: bool
) -> MotionCorrection:
    """Choose motion and span that best predict the newest localizations.

    The window as it lay is kept unless another choice is better by 3 standard errors.

    Args:
        recent: localizations up to the newest frame.
        first: number of the first frame of the window.
        now: number of its newest frame.
        field_nm: (y, x) size of the field.
        moving: the covariances show motion. They miss parts that move apart; where they show none, motion is sought
            only where fewer frames predict better than the whole window does, and fewer are not drawn as they lay.
    """
    held_out = _held_out(recent.frame, now)
    if held_out.sum() < MIN_HELD_OUT or (~held_out).sum() < MIN_REGISTERED:
        return MotionCorrection("none", first, now)
    candidates = _candidates(recent, held_out, first, now, field_nm, moving=moving)
    chosen = as_it_lay = next(candidates)
    for candidate in candidates:
        if _better(candidate, chosen):
            chosen = candidate
    uncertain = 0.0
    if chosen.registration is not None:
        uncertain = _uncertain(recent.yx_nm[held_out], chosen.predicted - as_it_lay.predicted)
    return MotionCorrection(chosen.kind, chosen.first, now, chosen.registration, uncertain)


def _better(candidate: _Candidate, than: _Candidate) -> bool:
    """Return whether a candidate predicts significantly better."""
    gain = candidate.predicted - than.predicted
    return bool(gain.mean() > MIN_GAIN_Z * gain.std() / np.sqrt(len(gain)))


def _held_out(frame: Floats, now: int) -> NDArray[np.bool_]:
    """Select every second localization of the newest frames."""
    newest = np.flatnonzero(frame > now - HELD_OUT_FRAMES)[::2]
    chosen = np.zeros(len(frame), bool)
    chosen[newest[:: -(-len(newest) // MAX_HELD_OUT) or 1]] = True
    return chosen


def _candidates(
    recent: RecentLocalizations,
    held_out: NDArray[np.bool_],
    first: int,
    now: int,
    field_nm: tuple[float, float],
    *,
    moving: bool,
) -> Iterator[_Candidate]:
    """Generate candidates, the simplest first: as it lay, rigid, local.

    The motion is estimated without the held-out localizations.
    """
    area_um2 = field_nm[0] * field_nm[1] * 1e-6
    frame, yx_nm = recent.frame[~held_out], recent.yx_nm[~held_out]
    newer = np.flatnonzero(frame >= min(first, now + 1 - REGISTERED_FRAMES))
    used = newer[_sample(len(newer), round(min(MAX_REGISTERED, MAX_REGISTERED_PER_UM2 * area_um2)))]
    targets, until = recent.yx_nm[held_out], now - 0.5 * (HELD_OUT_FRAMES - 1)
    drawn = (frame >= first) & (frame <= now - HELD_OUT_FRAMES - GAP_FRAMES)
    starts = [first, *(start for span in SPANS if (start := now + 1 - span) > first)]

    def predictions(kind: Kind, registration: Registration | None) -> Iterator[_Candidate]:
        at = yx_nm[drawn]
        if registration is not None:
            at = at + registration.displacements_nm(frame[drawn], at, until)
        for start, logs in zip(starts, _log_likelihoods(at, frame[drawn], targets, starts, area_um2), strict=True):
            if registration is None or start >= now - HISTORY_FRAMES:
                yield _Candidate(kind, start, registration, logs)

    unmoved = list(predictions("none", None))
    yield unmoved[0]
    if not moving and not any(_better(shorter, unmoved[0]) for shorter in unmoved[1:]):
        return
    few = used[_sample(len(used), max(len(used) // RIGID_SHARE, MIN_RIGID))]
    yield from predictions("rigid", register(frame[few], yx_nm[few], now, rigid=True))
    yield from predictions("local", register(frame[used], yx_nm[used], now, rigid=False))
    if moving:
        yield from unmoved[1:]


def _sample(count: int, at_most: int) -> NDArray[np.intp]:
    """Choose indices evenly, ascending."""
    if count <= at_most:
        return np.arange(count)
    return (np.arange(at_most) * (count / at_most)).astype(np.intp)


def _log_likelihoods(at: Floats, frame: Floats, targets: Floats, starts: list[int], area_um2: float) -> list[Floats]:
    """Compute how well localizations predict others, for several first frames.

    Args:
        at: (E, 2) nm, where they lie.
        frame: (E,) numbers of their frames.
        targets: (N, 2) nm, those to predict.
        starts: first frames.
        area_um2: of the field, over which localizations that nothing predicts are spread.

    Returns:
        (N,) log likelihoods for each first frame, up to a constant.
    """
    neighbours = tree_of(targets).sparse_distance_matrix(
        tree_of(at), PREDICTION_REACH * PREDICTION_SD_NM, output_type="coo_matrix"
    )
    near = np.exp(-0.5 * (neighbours.data / PREDICTION_SD_NM) ** 2) / (2 * np.pi * PREDICTION_SD_NM**2)
    logs = []
    for start in starts:
        there = frame[neighbours.col] >= start
        total = np.bincount(neighbours.row[there], near[there], len(targets))
        count = max(int((frame >= start).sum()), 1)
        logs.append(np.log((1 - OUTLIER_SHARE) * total / count + OUTLIER_SHARE / (area_um2 * 1e6)))
    return logs


def _uncertain(targets: Floats, gain: Floats) -> float:
    """Compute the share of targets in places that the motion predicts worse."""
    place = np.floor(targets / PLACE_NM).astype(int)
    _, where = np.unique(place, axis=0, return_inverse=True)
    where = where.reshape(-1)
    count = np.bincount(where)
    error = np.sqrt(np.bincount(where, gain**2))
    worse = (np.bincount(where, gain) < -MAX_LOSS_Z * error) & (count >= MIN_IN_PLACE)
    return float(count[worse].sum() / max(int(count[count >= MIN_IN_PLACE].sum()), 1))


def _places(found: Localizations) -> tuple[Floats, Floats]:
    """Fetch the frames (E,) and the positions (E, 2) nm of localizations."""
    frame, yx_nm = fetch(found.frame, torch.stack([found.y_nm, found.x_nm], -1))
    return frame.numpy().astype(np.float64), yx_nm.numpy().astype(np.float64)
