"""Ingest every frame once, when it arrives.

Frames are selected, freed of out-of-focus light, compared with the scene and added to the statistics.

Only ingest sees all frames. A window's picture is made of what it leaves in the model, so a stride costs its own
frames and not the window's, and frames of skipped windows teach the model too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.background import fit_background
from selfstorm.physics.bad_data import interpolate_hot_pixels, saturation_level
from selfstorm.physics.camera import ASSUMED
from selfstorm.stages.covariances import TREND_FRAMES, statistics_of, sums_of, trend
from selfstorm.stages.density import density
from selfstorm.stages.out_of_focus import far_covariance
from selfstorm.stages.saturation import restore_saturated
from selfstorm.stream.after_picture import accumulated
from selfstorm.stream.brightness import FrameGains, frame_gains
from selfstorm.stream.covariance_history import CovarianceHistory, fingerprints_of
from selfstorm.stream.frame_selection import DARK, select_valid_frames
from selfstorm.stream.frame_store import WindowSpan, blocks_of, numbers_of, since, tail
from selfstorm.stream.model import SequenceModel, learn_model
from selfstorm.stream.scene_change import MIN_COMPARED_FRAMES, MIN_SCENE_FRAMES, detect_scene_change, first_of_scene
from selfstorm.stream.window import MIN_FRAMES

ROUGH_ITERATIONS = 20  # sufficient to separate emitters from out-of-focus light
MIN_COMPARABLE_FRAMES = 3  # fewer show no fluctuation of a pixel


def ingest(model: SequenceModel, raw: Array, span: WindowSpan) -> SequenceModel:
    """Ingest new frames.

    Args:
        model: model that has seen the frames before.
        raw: (T, H, W) ADU, T >= 1, of the model's field.
        span: numbers of the frames, larger than all before, and the window that they are ingested for: frames are kept
            from its start on.

    Returns:
        The model that has seen these frames too.
    """
    model = accumulated(model)
    if model.calibration.camera.origin == ASSUMED and (again := _learned_again(model, raw, span)) is not None:
        model = again
    state, compute = model.state, model.compute
    photons = model.calibration.photons(raw, compute.uploads.room(raw.shape))
    with torch.inference_mode():
        y = compute.uploads.send(photons)  # on its way while the host selects frames
    valid, light, rejected = select_valid_frames(state.light, photons, span.numbers)
    model = model.with_state(
        buffer=since(state.buffer, min(span.first, int(span.numbers[0]))),
        rejected=tuple((number, why) for number, why in state.rejected if number >= span.first) + rejected,
        light=light,
        last_number=int(span.numbers[-1]),
    )
    with torch.inference_mode():
        if not valid.all():
            y = y[torch.as_tensor(np.flatnonzero(valid)).to(compute.device)]
        model = model.with_state(psf_learning=model.state.psf_learning.with_frames(_seen(model, y), span.to_come))
        if not valid.any():
            return model
        raw, model = raw[valid], _with_saturation(model, raw[valid])
        return update_history(model, raw, _restored(model, raw, y), replace(span, numbers=span.numbers[valid]))


def _seen(model: SequenceModel, y: Tensor) -> Tensor:
    """Return the part of frames (T, H, W) without masked pixels."""
    rows, columns = model.calibration.mask.clear_part
    return y[:, rows, columns]


def _restored(model: SequenceModel, raw: Array, y: Tensor) -> Tensor:
    """Return frames with their saturated pixels restored."""
    saturated = model.calibration.saturated(raw)
    if not saturated.any():
        return y
    where = torch.as_tensor(saturated).to(y.device)
    return restore_saturated(y, where, model.calibration.psf, model.grid.pixel_nm, model.compute.limits.map_bytes)


def _learned_again(model: SequenceModel, raw: Array, span: WindowSpan) -> SequenceModel | None:
    """Learn camera and PSF again, where earlier frames were too dark to.

    Returns:
        A new model, that the frames before are left out of; None where these frames tell no more.
    """
    state, settings = model.state, model.settings
    earlier = numbers_of(state.buffer)
    if not len(earlier) or len(raw) < MIN_FRAMES:
        return None
    again = learn_model(settings, raw, model.compute)
    if again.calibration.camera.origin == ASSUMED:
        return None
    dark = tuple((int(number), DARK) for number in earlier)
    return again.with_state(
        rejected=state.rejected + dark,
        history=CovarianceHistory(since=int(span.numbers[0])),
        last_number=state.last_number,
    )


def _with_saturation(model: SequenceModel, raw: Array) -> SequenceModel:
    """Return the model that knows where the camera clips, once frames show it."""
    calibration = model.calibration
    if not np.isinf(calibration.saturation_adu):
        return model
    if calibration.pixels is None:
        level = saturation_level(interpolate_hot_pixels(calibration.mask.filled(raw), calibration.hot_pixels))
    else:
        level = saturation_level(raw[:, ~calibration.pixels.bad])
    return replace(model, calibration=replace(calibration, saturation_adu=level))


def update_history(model: SequenceModel, raw: Array, y: Tensor, span: WindowSpan) -> SequenceModel:
    """Add valid frames to the buffer and to the covariance history.

    Where the scene changes, both begin anew.

    Args:
        model: model that has seen the frames before.
        raw: (T, H, W) ADU.
        y: (T, H, W) photons, the same frames on the device.
        span: their numbers, and the window that they are ingested for.
    """
    state, operators = model.state, model.operators
    out_of_focus = operators.out_of_focus
    every = frame_gains(*(block.y for block in state.buffer), y)
    before = tail(state.buffer, TREND_FRAMES)
    z = torch.cat([*(block.y for block in before), y])[-TREND_FRAMES - len(y) :]
    gains = every[-len(z) :]
    z = z / gains
    c, new = z - trend(z), slice(len(z) - len(y), None)
    smooth = _smooth_light(model, y, gains[new], z, c)
    knots = torch.cat([*(block.smooth for block in before), smooth])[-len(z) :]
    if state.density is not None:
        recent = slice(max(0, len(z) - max(len(y), MIN_COMPARED_FRAMES)), None)
        clear = z[recent] - out_of_focus.evaluate(knots[recent] - knots.mean(0))
        first = first_of_scene(clear)
        enough = first <= len(clear) - MIN_SCENE_FRAMES
        compared = clear[max(0, min(first, len(clear) - 2 * MIN_SCENE_FRAMES)) :]
        if enough and detect_scene_change(operators.covariance.forward(state.density), compared, operators.graphs):
            first = max(0, first - (len(clear) - len(y)))
            return _next_scene(model, raw[first:], y[first:], replace(span, numbers=span.numbers[first:]))
    history = state.history
    if len(z) >= MIN_COMPARABLE_FRAMES:
        c = c - out_of_focus.evaluate(knots - trend(knots))
        last = c[new.start - 1 : new.start] if new.start else None
        frames = sum(map(len, state.buffer)) + len(y) + span.to_come
        repeated = model.calibration.repeated_noise(z.mean(0))
        history = history.with_frames(c[new], last, span.numbers, frames, fingerprints_of(raw), repeated)
    saturated = model.calibration.saturated(raw).sum((1, 2))
    buffer = state.buffer + blocks_of(span, y, smooth, raw, saturated)
    return model.with_state(history=history, buffer=buffer, gains=FrameGains(numbers_of(buffer), every))


def _next_scene(model: SequenceModel, raw: Array, y: Tensor, span: WindowSpan) -> SequenceModel:
    """Begin anew with the frames of another scene.

    The camera stays, and so does the PSF until frames contradict it.
    """
    state = model.state.for_next_scene(int(span.numbers[0]), model.calibration.psf)
    learning = state.psf_learning.with_frames(_seen(model, y))
    return update_history(replace(model, state=replace(state, psf_learning=learning)), raw, y, span)


def _smooth_light(model: SequenceModel, y: Tensor, gains: Tensor, z: Tensor, c: Tensor) -> Tensor:
    """Fit the out-of-focus light of new frames.

    Args:
        model: model that has seen the frames before.
        y: (T, H, W) photons, the new frames.
        gains: (T, 1, 1) their brightness.
        z: new frames and those before them at equal brightness.
        c: the same without their trend.

    Returns:
        (T, rows, columns) spline coefficients at equal brightness.
    """
    operators, rough = model.operators, model.state.density
    if rough is None:
        statistics = statistics_of(sums_of(c, None, len(c)), z.mean(0))
        rough = density(operators.covariance, statistics, ROUGH_ITERATIONS, None, operators.graphs)
    brightness, background = fit_background(
        z.mean(0), operators.imaging.forward(rough), len(z), operators.surfaces, operators.graphs
    )
    map_bytes = model.compute.limits.map_bytes
    light = brightness * rough, background, far_covariance(c)
    return operators.out_of_focus.fit(y, gains, *light, map_bytes, operators.graphs)
