"""Emitters of a window's frames: stages B and C, block by block."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from selfstorm.stages.static_emitters import static_emitters
from selfstorm.stream.frame_store import FrameBuffer, with_slices
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import ProgressCallbacks, block_without_emitters, localize_block
from selfstorm.stream.processing_level import Estimate, ProcessingLevel
from selfstorm.stream.searched_frames import Illumination
from selfstorm.stream.window import WindowFrames
from selfstorm.stream.window_light import WindowDensity, WindowLight


@dataclass(frozen=True)
class EmitterSearch:
    """The frames of a window after their emitters were searched.

    Attributes:
        blocks: Frames with their emitters.
        emitters: (rows, columns) photons, the light that they were searched in: density and steady emitters.
        looked_at: Frames that were searched now, not for an earlier window.
    """

    blocks: FrameBuffer
    emitters: Tensor
    looked_at: int


def wanted_of(level: ProcessingLevel) -> Estimate | None:
    """Return the estimate that emitters are searched for; None for no search."""
    return level.ahead if level.estimate == "density" else level.estimate


def search_emitters(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    light: WindowLight,
    level: ProcessingLevel,
    wanted: Estimate,
    callbacks: ProgressCallbacks,
) -> EmitterSearch:
    """Find the emitters of the frames that were not searched before.

    Of a picture of the density, emitters of the newest frames alone are searched, for windows to come.

    Args:
        model: Model of the field.
        window: Frames of the window.
        known: Density of the window.
        light: Light of its mean frame.
        level: Extent of the processing.
        wanted: Estimate that needs the emitters.
        callbacks: Callbacks of progress.
    """
    variance = model.calibration.read_variance(window.mean)
    imaging, scale = model.operators.imaging, model.grid.scale
    steady = static_emitters(imaging, window.mean, light.expected, len(window), scale, variance)
    emitters, looked_at, blocks = light.emitted + steady, 0, list(window.blocks)
    for number, (block, part) in enumerate(with_slices(window.blocks)):
        if level.ahead is not None and number < len(blocks) - 1:
            continue
        smooth = light.background + model.operators.out_of_focus.evaluate(window.smooth[part])
        shone = Illumination.at(window.gains[part], emitters, smooth)
        if known.empty:
            blocks[number] = block_without_emitters(model, block, shone, wanted, callbacks)
        else:
            blocks[number] = localize_block(model, block, shone, wanted, level.quality, callbacks)
        looked_at += len(block) * (blocks[number] is not block)
    return EmitterSearch(tuple(blocks), emitters, looked_at)
