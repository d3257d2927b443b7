"""What happens to every frame once, when it comes: believed or not, cleared of haze, recognised, remembered.

This alone sees all frames. A window's picture is made of what it leaves in the model, so a stride costs its own frames
and not the window's, and frames of windows that nobody had time for still teach the model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.physics.background import fit_background
from selfstorm.physics.bad_data import dark_frames, flashes, levels
from selfstorm.stages.covariances import TREND_FRAMES, statistics_of, sums_of, trend
from selfstorm.stages.density import density
from selfstorm.stages.out_of_focus import far_covariance
from selfstorm.stream.brightness import frame_gains
from selfstorm.stream.frame_store import WindowSpan, since, strips, tail
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.scene_change import LEAST_FRAMES, LOOKED_AT_FRAMES, detect_scene_change, first_of_scene

ROUGH_LAYERS = 20  # enough to tell emitters from haze
COMPARABLE_FRAMES = 3  # fewer say nothing of how pixels fluctuate
LEVELS = 100  # frames that say how bright frames are
UNLIT_PATIENCE = 500  # frames in the dark, after which the dark is what there is to see
LONGEST_FLASH = 8  # frames: what stays is no flash but another light
NOT_FINITE = "not finite"
FLASH = "brighter all over than any blinking"
UNLIT = "taken while the light was off"


def ingest(model: SequenceModel, raw: Array, place: WindowSpan) -> None:
    """Take in new frames.

    raw: (T, H, W) ADU, T >= 1, of the model's field. place: their numbers, larger than all before, and the window they
    are taken in for: from its start on, frames are kept.
    """
    model.film = since(model.film, min(place.first, int(place.numbers[0])))
    model.left_out = tuple((number, why) for number, why in model.left_out if number >= place.first)
    photons = model.photons(raw, model.uploads.room(raw.shape))
    with torch.inference_mode():
        y = model.uploads.send(photons)  # on its way while the host looks at it and learns from it
    believed = _trusted_psf(model, photons, place.numbers)
    model.last_number = int(place.numbers[-1])
    if not believed.any():
        return
    model.learn(photons if believed.all() else photons[believed])
    with torch.inference_mode():
        if not believed.all():
            y = y[torch.as_tensor(np.flatnonzero(believed)).to(model.device)]
        _remember(model, raw[believed], y, replace(place, numbers=place.numbers[believed]))


def _trusted_psf(model: SequenceModel, photons: Array, numbers: Array) -> Array:
    """(T,) bool: which frames (T, H, W) show the sample. Of the others the model notes why not."""
    finite = np.asarray(np.isfinite(photons).all((1, 2)))
    level = np.zeros(len(photons))
    level[finite] = levels(photons[finite])
    known = np.concatenate([model.levels, level[finite]])
    none = np.zeros(len(photons), bool)
    flash = finite & flashes(level, known) if len(known) else none
    dark = finite & dark_frames(level, float(np.median(model.levels))) if len(model.levels) else none
    model.dark_frames = model.dark_frames + len(dark) if dark.all() else 0
    model.flashed = model.flashed + len(flash) if flash.all() else 0
    if model.dark_frames > UNLIT_PATIENCE or model.flashed > LONGEST_FLASH:
        flash, dark, model.levels = none, none, level[:0]
    for bad, why in ((~finite, NOT_FINITE), (flash, FLASH), (dark, UNLIT)):
        model.left_out += tuple((int(number), why) for number in numbers[bad])
    believed = finite & ~flash & ~dark
    model.levels = np.concatenate([model.levels, level[believed]])[-LEVELS:]
    return np.asarray(believed)


def _remember(model: SequenceModel, raw: Array, y: Tensor, place: WindowSpan) -> None:
    """Believed frames y (T, H, W) photons: look at them beside those before them, and keep what is needed."""
    gains = frame_gains(*(strip.y for strip in model.film), y)
    before = tail(model.film, TREND_FRAMES)
    z = torch.cat([*(strip.y for strip in before), y])[-TREND_FRAMES - len(y) :]
    gains = gains[-len(z) :]
    z = z / gains
    c, new = z - trend(z), slice(len(z) - len(y), None)
    smooth = _smooth_light(model, y, gains[new], z, c)
    knots = torch.cat([*(strip.smooth for strip in before), smooth])[-len(z) :]
    if model.density is not None:
        recent = slice(max(0, len(z) - max(len(y), LOOKED_AT_FRAMES)), None)
        clear = z[recent] - model.haze.drawn(knots[recent] - knots.mean(0))
        first = first_of_scene(clear)
        enough = first <= len(clear) - LEAST_FRAMES
        told_by = clear[max(0, min(first, len(clear) - 2 * LEAST_FRAMES)) :]
        if enough and detect_scene_change(model.covariance.forward(model.density), told_by):
            first = max(0, first - (len(clear) - len(y)))
            model.forget(int(place.numbers[first]))
            model.learn(y[first:].cpu().numpy())
            _remember(model, raw[first:], y[first:], replace(place, numbers=place.numbers[first:]))
            return
    if len(z) >= COMPARABLE_FRAMES:
        c = c - model.haze.drawn(knots - trend(knots))
        last = c[new.start - 1 : new.start] if new.start else None
        frames = sum(map(len, model.film)) + len(y)
        model.memory = model.memory.with_frames(c[new], last, place.numbers, frames)
    model.film += strips(place, y, smooth, raw)


def _smooth_light(model: SequenceModel, y: Tensor, gains: Tensor, z: Tensor, c: Tensor) -> Tensor:
    """(T, rows, columns) of splines for y (T, H, W). z: and frames before, equally bright; c: without trend."""
    rough = model.density
    if rough is None:
        statistics = statistics_of(sums_of(c, None, len(c)), z.mean(0))
        rough = density(model.covariance, statistics, ROUGH_LAYERS, None, model.graphs)
    brightness, background = fit_background(z.mean(0), model.imaging.forward(rough))
    return model.haze.knots(y, gains, brightness * rough, background, far_covariance(c), model.limits.map_bytes)
