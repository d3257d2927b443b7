"""Move the parts of a picture to the time of its newest frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from selfstorm.localizations import Localizations
from selfstorm.physics.operators import Grid
from selfstorm.stream.covariance_history import CovarianceHistory, Selection
from selfstorm.stream.frame_store import FrameBuffer
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.motion import displaced, displaced_map
from selfstorm.stream.motion_correction import MotionCorrection, choose_correction
from selfstorm.stream.registration import HISTORY_FRAMES
from selfstorm.stream.window import WindowFrames

AS_IT_LAY = "as it lay"
MAX_UNCERTAIN_SHARE = 0.15  # of the newest localizations; above, a note says so


@dataclass(frozen=True)
class DrawnParts:
    """Parts that a picture is drawn from, at one time.

    Attributes:
        found: localizations; None where none were made.
        total: (rows, columns) photons a frame, the emitter maps or the density.
        emitters: (rows, columns) density of emitters, the prior of their positions.
        seen: (H, W) photons, mean of the frames.
        frames: number of the frames that are drawn.
        motion: time that they are drawn at, in words.
        notes: when not to trust it.
        corrected: moved to that time, frame by frame.
    """

    found: Localizations | None
    total: Tensor
    emitters: Tensor
    seen: Tensor
    frames: int
    motion: str = AS_IT_LAY
    notes: tuple[str, ...] = ()
    corrected: bool = False


def shows_motion(history: CovarianceHistory) -> bool:
    """Return whether the covariances show motion of the sample."""
    return history.plan is not None and history.plan.motion != "still"


def parts_at_newest_frame(
    model: SequenceModel, window: WindowFrames, blocks: FrameBuffer, parts: DrawnParts
) -> DrawnParts:
    """Move localizations, maps and frames to the newest frame's time.

    Args:
        model: model with the localizations of the window in its state, and its history planned: maps without
            localizations are moved by the velocities of the plan.
        window: frames of the window.
        blocks: the same frames with their emitters.
        parts: what would be drawn as it lay; its density is that of the newest block.
    """
    grid, history, now = model.grid, model.state.history, int(window.numbers[-1])
    field_nm = grid.height * grid.pixel_nm, grid.width * grid.pixel_nm
    if parts.found is None:
        return _by_plan(history, window, blocks, parts, grid)
    chosen = choose_correction(model.state.recent, window.first, now, field_nm=field_nm, moving=shows_motion(history))
    drawn = [block for block in blocks if block.numbers[-1] >= chosen.first]
    nothing_changes = chosen.registration is None and len(drawn) == len(blocks)
    if nothing_changes or drawn[0].numbers[0] <= now - HISTORY_FRAMES:
        return parts
    total, seen, frames = torch.zeros_like(parts.total), torch.zeros_like(parts.seen), sum(map(len, drawn))
    for block in drawn:
        by = chosen.displacement_px((grid.height, grid.width), grid.pixel_nm, float(block.numbers.mean()))
        by = None if by is None else by.to(total.device)
        if block.total is not None:
            total += displaced_map(block.total, by, grid)
        light = block.y.sum(0)
        seen += light if by is None else displaced(light[None], by)[0]
    by = chosen.displacement_px((grid.height, grid.width), grid.pixel_nm, float(drawn[-1].numbers.mean()))
    emitters = displaced_map(parts.emitters, None if by is None else by.to(total.device), grid)
    found = chosen.moved(parts.found, int(drawn[0].numbers[0]))
    motion = _described(chosen, frames)
    corrected = chosen.kind != "none"
    return DrawnParts(found, total / frames, emitters, seen / frames, frames, motion, _notes(chosen), corrected)


def density_parts(parts: DrawnParts, selection: Selection, window: WindowFrames, grid: Grid) -> DrawnParts:
    """Move a density to the newest frame's time.

    The velocities are those that its covariances were averaged with.
    """
    if selection.velocity is None:
        return parts
    now = int(window.numbers[-1])
    total = displaced_map(parts.total, selection.velocity * (now - selection.number), grid)
    return replace(parts, total=total, motion=f"moved to frame {now}", corrected=True)


def _by_plan(
    history: CovarianceHistory, window: WindowFrames, blocks: FrameBuffer, parts: DrawnParts, grid: Grid
) -> DrawnParts:
    """Move maps by the velocities that covariances were averaged with."""
    velocity, now = None if history.plan is None else history.plan.velocity, int(window.numbers[-1])
    if velocity is None:
        return parts
    total, seen = torch.zeros_like(parts.total), torch.zeros_like(parts.seen)
    for block in blocks:
        by = velocity * (now - float(block.numbers.mean()))
        if block.total is not None:
            total += displaced_map(block.total, by, grid)
        seen += displaced(block.y.sum(0)[None], by)[0]
    frames = len(window)
    motion = f"{frames} frames moved to frame {now}"
    return replace(parts, total=total / frames, seen=seen / frames, motion=motion, corrected=True)


def _described(chosen: MotionCorrection, frames: int) -> str:
    if chosen.kind == "none":
        return f"the newest {frames} frames as they lay"
    what = "for drift" if chosen.kind == "rigid" else "for local motion"
    return f"{frames} frames moved to frame {chosen.now}, corrected {what}"


def _notes(chosen: MotionCorrection) -> tuple[str, ...]:
    if chosen.kind == "none":
        return ("The sample moves in ways that its older frames do not predict; only the newest frames are drawn",)
    if chosen.uncertain > MAX_UNCERTAIN_SHARE:
        return (f"The motion of {chosen.uncertain:.0%} of the structures is uncertain; they may be misplaced",)
    return ()
