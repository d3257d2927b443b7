"""Learn from a window what its picture does not wait for."""

from __future__ import annotations

import torch

from selfstorm.stages.rendering import cells_together
from selfstorm.stream.accumulation import DrawingSettings, accumulate
from selfstorm.stream.claims import most_localized_part, with_checked_claims
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks, localizations_of


def accumulated(model: SequenceModel, callbacks: ProgressCallbacks = NO_CALLBACKS) -> SequenceModel:
    """Return the model with its new emitters checked and accumulated."""
    new = model.state.new_emitters
    if new is None:
        return model
    model, checked = model.with_state(new_emitters=None), new.checked
    with torch.inference_mode():
        if new.claimed is not None:
            model, checked = with_checked_claims(model, new.claimed)
            callbacks.mark("claims")
        accumulation, grid = model.state.accumulation, model.grid
        if checked is not None:
            accumulation = accumulation.with_check(checked.resolution_nm, checked.one_density_nm)
        found = localizations_of(new.blocks)
        if found is not None and not model.state.claims.nothing_real:
            if accumulation.spans is None:
                accumulation = accumulation.counting_in(most_localized_part(found, grid), grid.pixel_nm)
            cells = cells_together(model.compute.planned.map_bytes)
            drawing = DrawingSettings(grid, model.settings.scale, new.frames, cells)
            accumulation = accumulate(accumulation, new.blocks, new.density, drawing)
    return model.with_state(accumulation=accumulation)
