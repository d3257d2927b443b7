"""Learn from a window what its picture does not wait for."""

from __future__ import annotations

import torch

from selfstorm.stages.rendering import cells_together
from selfstorm.stream.accumulation import DrawingSettings, accumulate
from selfstorm.stream.claims import most_localized_part
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import localizations_of


def accumulated(model: SequenceModel) -> SequenceModel:
    """Return the model with its new emitters accumulated."""
    new = model.state.new_emitters
    if new is None:
        return model
    accumulation, grid = model.state.accumulation, model.grid
    if new.checked_nm is not None:
        accumulation = accumulation.with_check(*new.checked_nm)
    found = localizations_of(new.blocks)
    if new.real and found is not None:
        with torch.inference_mode():
            if accumulation.spans is None:
                accumulation = accumulation.counting_in(most_localized_part(found, grid), grid.pixel_nm)
            cells = cells_together(model.compute.planned.map_bytes)
            drawing = DrawingSettings(grid, model.settings.scale, new.frames, cells)
            accumulation = accumulate(accumulation, new.blocks, new.density, drawing)
    return model.with_state(accumulation=accumulation, new_emitters=None)
