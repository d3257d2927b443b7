"""Claims on pictures: resolution, fidelity, false localizations.

They are measured on a part of the field in one window, and hold for the windows after it until they are due again: so
they cost a small share of the time. The schedule counts windows, so live and offline claim the same.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.compute.batching import out_of_memory
from selfstorm.localizations import Localizations
from selfstorm.metrics.claim_evidence import ClaimEvidence, DecoyCount
from selfstorm.metrics.split_halves import HalvesFound, drift_nm, fidelity, structure_resolution_nm, trust_map
from selfstorm.physics.operators import Grid
from selfstorm.stream.claim_schedule import ClaimSchedule
from selfstorm.stream.claimed_window import ClaimedWindow
from selfstorm.stream.decoys import count_decoys, decoy_frames, renumbered
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.searched_frames import Illumination
from selfstorm.stream.split_halves import Part, localize_halves, part_of_model

MAX_PART_PX = 64  # along a side: a larger part says the same of most fields
MAX_TIME_SHARE = 0.1  # of all time
MIN_CHECKED = 6_000  # localizations of the frames in which the halves' emitters are looked for, in any case


def with_checked_claims(model: SequenceModel, window: ClaimedWindow) -> tuple[SequenceModel, ClaimEvidence | None]:
    """Return a model with the evidence gathered on a window, and the evidence.

    Without memory for it, the evidence in use is kept, and None is returned.
    """
    claims, before = check_claims(model, window), model.state.claims
    return model.with_state(claims=claims), None if claims.evidence is before.evidence else claims.evidence


def check_claims(model: SequenceModel, window: ClaimedWindow) -> ClaimSchedule:
    """Gather evidence on a window, and choose when the next is due.

    Without memory for it, the evidence in use is kept.
    """
    part = most_localized_part(window.found, model.grid)
    try:
        smaller = part_of_model(model, part)
        step = _frame_step(window.found, part, model.grid)
        halves = localize_halves(model, smaller, window.frames, window.iterations, window.quality, part, step)
        decoys = _decoys(model, smaller, window, part)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return model.state.claims.passed()
    evidence = _evidence(model, halves, decoys, part)
    if halves is not None:
        own = structure_resolution_nm(_one_density(window, halves, part, model.grid.pixel_nm))
        evidence = replace(evidence, one_density_nm=own)
    return ClaimSchedule(
        evidence,
        0 if decoys.nothing_real else wait_windows(model.grid, part, _checked_frames(halves, window), window.stride),
    )


def _evidence(model: SequenceModel, halves: HalvesFound | None, decoys: DecoyCount, part: Part) -> ClaimEvidence:
    if halves is None:
        return ClaimEvidence(None, None, None, None, decoys)
    grid = model.grid
    trusted = np.full((grid.height, grid.width), np.nan, np.float32)
    trusted[part] = trust_map(halves, grid.pixel_nm)
    return ClaimEvidence(structure_resolution_nm(halves), fidelity(halves), drift_nm(halves), trusted, decoys)


def _one_density(window: ClaimedWindow, halves: HalvesFound, part: Part, pixel_nm: float) -> HalvesFound:
    """Select the window's own localizations in the frames of two halves."""
    own = _within(window.found, part, pixel_nm)
    first, second = (own.where(torch.isin(own.frame, half.frame)) for half in (halves.first, halves.second))
    return replace(halves, first=first, second=second)


def _frame_step(found: Localizations, part: Part, grid: Grid) -> int:
    """Choose the distance of frames that keeps a single check short."""
    return math.ceil(len(_within(found, part, grid.pixel_nm)) / max(MAX_TIME_SHARE * len(found), MIN_CHECKED)) or 1


def _checked_frames(halves: HalvesFound | None, window: ClaimedWindow) -> int:
    decoys = 2 * len(decoy_frames(len(window.frames), len(window.found)))
    return decoys + (0 if halves is None else halves.frames)


def wait_windows(grid: Grid, part: Part, frames: int, stride: int) -> int:
    """Choose how many windows pass before the next check.

    A check looks for emitters in some frames of the window and in decoys, in a part of the field; a window in the
    frames of a stride, in all of it.
    """
    area = (part[0].stop - part[0].start) * (part[1].stop - part[1].start) / (grid.height * grid.width)
    return math.ceil(frames / stride * float(area) / MAX_TIME_SHARE)


def most_localized_part(found: Localizations, grid: Grid) -> Part:
    """Choose the part of a field (64 pixels a side) with most emitters."""
    sides = min(grid.height, MAX_PART_PX), min(grid.width, MAX_PART_PX)
    counts = torch.zeros(grid.height, grid.width)
    row, column = (
        (at.cpu() / grid.pixel_nm).long().clamp(0, side - 1)
        for at, side in zip((found.y_nm, found.x_nm), (grid.height, grid.width), strict=True)
    )
    counts.index_put_((row, column), torch.ones(len(found)), accumulate=True)
    steps = max(sides[0] // 2, 1), max(sides[1] // 2, 1)
    parts = F.avg_pool2d(counts[None, None], sides, steps)[0, 0]
    top, left = divmod(int(parts.argmax()), parts.shape[1])
    return slice(top * steps[0], top * steps[0] + sides[0]), slice(left * steps[1], left * steps[1] + sides[1])


def _decoys(model: SequenceModel, smaller: SequenceModel, window: ClaimedWindow, part: Part) -> DecoyCount:
    """Count decoys in some frames of a part of the field."""
    frames, grid = window.frames, model.grid
    chosen = decoy_frames(len(frames), len(window.found))
    y = torch.cat([block.y for block in frames.blocks])
    which = torch.as_tensor(chosen, device=y.device)
    rows, columns = part
    emitters = _padded_part(window.emitters, grid, smaller.grid, part)
    smooth = window.background + model.operators.out_of_focus.evaluate(frames.smooth[which])
    light = Illumination.at(frames.gains[which], emitters, smooth[:, rows, columns])
    found = _within(renumbered(window.found, frames.numbers[chosen]), part, grid.pixel_nm)
    return count_decoys(smaller, y[which][:, rows, columns], light, found, window.quality)


def _padded_part(padded: Tensor, grid: Grid, smaller: Grid, part: Part) -> Tensor:
    """Cut the padded map of a part out of that of the field."""
    rows, columns = smaller.cells
    top, left = part[0].start * grid.scale, part[1].start * grid.scale
    return padded[top : top + rows, left : left + columns]


def _within(found: Localizations, part: Part, pixel_nm: float) -> Localizations:
    """Select the localizations in a part, positions from its corner."""
    y_nm, x_nm = found.y_nm - part[0].start * pixel_nm, found.x_nm - part[1].start * pixel_nm
    height, width = ((s.stop - s.start) * pixel_nm for s in part)
    inside = (y_nm >= 0) & (y_nm < height) & (x_nm >= 0) & (x_nm < width)
    return replace(found, y_nm=y_nm, x_nm=x_nm).where(inside)
