"""Ingest frames of a tiled field; the steps are those of `stream.ingest`.

Whole frames are converted a few at a time, and the statistics of each pixel are made tile by tile.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.background import fit_background
from selfstorm.stages.covariances import TREND_FRAMES, statistics_of
from selfstorm.stages.held_out import most_significant_part
from selfstorm.stream.covariance_history import fingerprints_of, pieces_of
from selfstorm.stream.frame_selection import select_valid_frames
from selfstorm.stream.frame_store import WindowSpan, blocks_of, numbers_of, since, tail
from selfstorm.stream.ingest import MIN_COMPARABLE_FRAMES, ROUGH_ITERATIONS
from selfstorm.stream.scene_change import MIN_COMPARED_FRAMES, MIN_SCENE_FRAMES, detect_scene_change, first_of_scene
from selfstorm.stream.tiled.field import SeenDensity
from selfstorm.stream.tiled.frames import parts_of
from selfstorm.stream.tiled.sequence import TiledSequence

MAX_SELECTED_PX = 1024  # along a side; of larger fields every n-th pixel shows whether a frame is dark or a flash
MAX_COMPARED_PX = 512  # along a side, of the part that shows whether the scene changed


def ingest(model: TiledSequence, raw: Array, span: WindowSpan) -> TiledSequence:
    """Ingest new frames; the arguments are those of `stream.ingest.ingest`."""
    state, numbers = model.state, span.numbers
    valid, light, rejected = select_valid_frames(state.light, _thinned(model, raw), numbers)
    begin = min(span.first, int(numbers[0]))
    buffer = since(state.buffer, begin)
    model = model.with_state(
        buffer=buffer,
        rejected=tuple((number, why) for number, why in state.rejected if number >= span.first) + rejected,
        light=light,
        last_number=int(numbers[-1]),
    )
    if not valid.any():
        return model
    raw, span = raw[valid] if not valid.all() else raw, replace(span, numbers=numbers[valid])
    model.frames.make_slots(numbers_of(buffer), int(numbers[-1]) - begin + 1 + span.to_come, raw.dtype)
    saturated = model.frames.add(raw, span.numbers)
    with torch.inference_mode():
        return _update_history(model, raw, saturated, span)


def _thinned(model: TiledSequence, raw: Array) -> Array:
    """Return frames in photons, every n-th pixel of large ones.

    Frames with values that are not finite are NaN.
    """
    step = max(1, -(-max(raw.shape[1:]) // MAX_SELECTED_PX))
    photons = model.calibration.camera.photons(raw[:, ::step, ::step])
    if raw.dtype.kind == "f":
        for part in parts_of(len(raw), raw.shape[1:]):
            photons[part][~np.isfinite(raw[part]).all((1, 2))] = np.nan
    return photons


def _update_history(model: TiledSequence, raw: Array, saturated: Array, span: WindowSpan) -> TiledSequence:
    """Add valid frames to the buffer and to the history.

    See `stream.ingest.update_history`.
    """
    state, field, frames = model.state, model.field, model.frames
    count = len(span.numbers)
    gains = frames.gains(np.concatenate([numbers_of(state.buffer), span.numbers]))
    before = tail(state.buffer, TREND_FRAMES)
    numbers = np.concatenate([numbers_of(before), span.numbers])[-TREND_FRAMES - count :]
    gains, length = gains[-len(numbers) :], len(numbers)
    field.choose(frames.slots(numbers), gains)
    mean, far = field.fluctuations(length)
    seen = model.seen
    if seen is None:
        knots = torch.zeros((length, *model.out_of_focus.knots))
        field.begin(statistics_of(field.sums(knots, 0, length, length), mean))
        seen = field.density(ROUGH_ITERATIONS, drawn=False)
        field.release()
    smooth = _smooth_light(model, seen, slice(length - count, length), gains, mean, far)
    knots = torch.cat([*(block.smooth for block in before), smooth])[-length:]
    if model.seen is not None and (first := _next_scene_at(model, gains, knots, count)) is not None:
        model = replace(model, seen=None, state=state.for_next_scene(int(span.numbers[first]), model.calibration.psf))
        return _update_history(model, raw[first:], saturated[first:], replace(span, numbers=span.numbers[first:]))
    history = state.history
    if length >= MIN_COMPARABLE_FRAMES:
        window = sum(map(len, state.buffer)) + count + span.to_come
        pieces, shift = pieces_of(count, window), length - count
        parts = [field.sums(knots, shift + one.start, shift + one.stop, window) for one in pieces]
        history = history.with_sums(pieces, parts, span.numbers, window, fingerprints_of(raw))
    buffer = state.buffer + blocks_of(span, torch.zeros((count, 0, 0)), smooth, raw, saturated)
    return model.with_state(history=history, buffer=buffer)


def _smooth_light(
    model: TiledSequence, seen: SeenDensity, new: slice, gains: Tensor, mean: Tensor, far: Tensor
) -> Tensor:
    """Fit the out-of-focus light of new frames.

    Returns:
        (T, rows, columns), at equal brightness.
    """
    brightness, background = fit_background(mean, seen.image, len(gains), model.surfaces)
    whole, fitted = (slice(None), slice(None)), []
    for part in parts_of(new.stop - new.start, model.frames.field):
        chosen = slice(new.start + part.start, new.start + part.stop)
        y, binned = model.frames.photons(chosen, whole), brightness * seen.binned
        limit = model.compute.limits.map_bytes
        fitted.append(model.out_of_focus.fit_binned(y, gains[chosen], binned, background, far, limit))
    return torch.cat(fitted)


def _next_scene_at(model: TiledSequence, gains: Tensor, knots: Tensor, count: int) -> int | None:
    """Return the first new frame of another scene, None without one.

    Of a large field, the most significant part is compared.
    """
    seen, length = model.seen, len(gains)
    if seen is None:
        return None
    part = most_significant_part(seen.covariances, MAX_COMPARED_PX)
    recent = slice(max(0, length - max(count, MIN_COMPARED_FRAMES)), length)
    smooth = model.out_of_focus.evaluate_part(knots[recent] - knots.mean(0), part)
    clear = model.frames.photons(recent, part) / gains[recent] - smooth
    first = first_of_scene(clear)
    enough = first <= len(clear) - MIN_SCENE_FRAMES
    compared = clear[max(0, min(first, len(clear) - 2 * MIN_SCENE_FRAMES)) :]
    if not (enough and detect_scene_change(seen.covariances[:, *part], compared)):
        return None
    return max(0, first - (len(clear) - count))
