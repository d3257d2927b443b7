"""Calibration of a large field: optics of a part, pixels of all.

Moments of a few pairs of frames have no error bars (`FieldMoments`), and a large field has no memory for more: many
frames of the part with the most light tell more than few of the field.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from selfstorm.frames import Array
from selfstorm.physics.bad_data import hot_pixels, interpolate_hot_pixels, saturation_level
from selfstorm.physics.bright_sources import bright_sources
from selfstorm.physics.masked import FieldMask
from selfstorm.stages.held_out import most_significant_part
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.model import finite_frames, learn_calibration, light_levels
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import MIN_FRAMES

LEARNED_PX = 512  # along a side, of the part
MAX_PIXELS = 2**26  # of the whole field, that are computed with at once, in some six copies


def learn_field(settings: Settings, first_window: Array) -> tuple[Calibration, FieldState]:
    """Learn the calibration of a field, and its first state.

    The arguments are those of `stream.model.learn_calibration`, and so is the result where the field is no larger than
    the part.
    """
    height, width = first_window.shape[1:]
    if max(height, width) <= LEARNED_PX:
        return learn_calibration(settings, first_window)
    count = max(MIN_FRAMES, MAX_PIXELS // (height * width))
    some = finite_frames(first_window[:: -(-len(first_window) // count)])
    mask = FieldMask.found_in(some)
    clipped, some = mask.clipped(some), mask.filled(some)
    light = some.mean(0, dtype=np.float32)
    rows, columns = most_significant_part(torch.as_tensor(light - np.median(light))[None], LEARNED_PX)
    calibration, state = learn_calibration(settings, first_window[:, rows, columns])
    hot = hot_pixels(some)
    good = interpolate_hot_pixels(some, hot)
    mask = mask.with_pixels(bright_sources(calibration.camera.photons(good), clipped))
    of_field = replace(calibration, hot_pixels=hot, mask=mask, saturation_adu=saturation_level(good))
    step = max(1, -(-max(height, width) // LEARNED_PX))
    return of_field, replace(state, light=light_levels(calibration.camera, first_window[:, ::step, ::step]))
