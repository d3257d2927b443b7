"""Drawing of a window: what is shown of its density and emitters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from selfstorm.localizations import Localizations
from selfstorm.physics.masked import FieldMask
from selfstorm.stages.rendering import cells_together, fuse, render
from selfstorm.stream.emitter_search import EmitterSearch
from selfstorm.stream.frame_store import FrameBuffer
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.newest_frame import DrawnParts, density_parts, parts_at_newest_frame
from selfstorm.stream.window import WindowFrames
from selfstorm.stream.window_light import WindowDensity, WindowLight


@dataclass(frozen=True)
class WindowDrawing:
    """A picture, the parts that it is drawn from, and what they explain.

    Attributes:
        picture: (s*H, s*W) photons a frame, of the field.
        parts: Parts at the time that the sample is shown at.
        found: Localizations where they lay; None where none were made.
        mean: (H, W) photons, the mean frame that is explained.
        expected: (H, W) photons, the mean frame as the parts explain it.
        background: (H, W) photons, its smooth part.
    """

    picture: Tensor
    parts: DrawnParts
    found: Localizations | None
    mean: Tensor
    expected: Tensor
    background: Tensor

    def emptied(self) -> WindowDrawing:
        """Return the drawing with nothing in it."""
        found = self.found
        if found is not None:
            found = found.where(torch.zeros_like(found.frame, dtype=torch.bool))
        parts = replace(self.parts, found=found, total=self.parts.total * 0)
        return replace(self, picture=self.picture * 0, parts=parts, found=found)

    def outside(self, mask: FieldMask, pixel_nm: float) -> WindowDrawing:
        """Return the drawing without localizations in masked pixels."""
        if self.found is None or mask.masked is None:
            return self
        found = self.found
        shown = mask.shows(*((at / pixel_nm).cpu().numpy() for at in (found.y_nm, found.x_nm)))
        found = found.where(torch.as_tensor(shown, device=found.frame.device))
        return replace(self, found=found, parts=replace(self.parts, found=found))


def draw_density(model: SequenceModel, window: WindowFrames, known: WindowDensity, light: WindowLight) -> WindowDrawing:
    """Draw the density, in photons a frame."""
    total = torch.zeros_like(known.m) if known.empty else light.emitted
    parts = DrawnParts(None, total, known.m, window.seen, len(window))
    if _follows(model, known):
        parts = density_parts(parts, known.selection, window, model.grid)
    return WindowDrawing(model.grid.crop(parts.total), parts, None, window.mean, light.expected, light.background)


def draw_emitters(
    model: SequenceModel,
    window: WindowFrames,
    known: WindowDensity,
    light: WindowLight,
    search: EmitterSearch,
    found: Localizations | None,
) -> WindowDrawing:
    """Draw the emitters of all frames: their maps, fused with localizations.

    Args:
        model: Model of the field, with the window's localizations among the recent ones.
        window: Frames of the window.
        known: Density of the window.
        light: Light of its mean frame.
        search: The frames with their emitters.
        found: Localizations of the same frames; None for the maps alone.
    """
    blocks, grid, imaging = search.blocks, model.grid, model.operators.imaging
    frames = sum(map(len, blocks))
    around = torch.stack([block.total for block in blocks if block.total is not None]).sum(0) / frames
    expected = _expected(imaging.forward(around), blocks)
    parts = DrawnParts(found, around, search.emitters, window.seen, frames)
    if _follows(model, known):
        parts = parts_at_newest_frame(model, window, blocks, parts)
    picture = grid.crop(parts.total)
    if parts.found is not None:
        scale, cells = model.settings.scale, cells_together(model.compute.planned.map_bytes)
        drawn = render(parts.found, parts.emitters, grid, parts.frames, scale, cells)
        picture = fuse(drawn, picture, parts.found.crowding, model.settings.pixel_nm / scale, parts.frames)
    return WindowDrawing(picture, parts, found, window.seen, expected, light.background)


def _follows(model: SequenceModel, known: WindowDensity) -> bool:
    """Return True where the picture shows the sample of the newest frame."""
    return model.settings.motion == "corrected" and not known.empty


def _expected(imaged: Tensor, blocks: FrameBuffer) -> Tensor:
    """Return the mean frame that the emitters of some blocks explain.

    Each block has the background that its emitters were found with: where the sample bleaches, that of earlier windows
    was another one than this window's.

    Args:
        imaged: (H, W) photons per frame, the mean of the blocks' emitters as the camera sees them.
        blocks: frames, their emitters found.
    """
    backgrounds = [len(block) * block.background for block in blocks if block.background is not None]
    return imaged + torch.stack(backgrounds).sum(0) / sum(map(len, blocks))
