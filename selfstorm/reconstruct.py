"""(model, window) -> picture: statistics, density (stage A), background, emitters (stage B)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from selfstorm.background import fit_background
from selfstorm.density import cold_layers, density
from selfstorm.emitters import QUALITY, batches, emitter_maps
from selfstorm.errors import InputError
from selfstorm.frames import Array, Reconstruction
from selfstorm.light import frame_gains
from selfstorm.model import SequenceModel
from selfstorm.statistics import WindowStatistics, window_statistics
from selfstorm.steady import steady_light

LEAST_FRAMES = 8
WARM_LAYERS = 20
# A multiplicative layer cannot revive a zero, so a warm start keeps a share of a flat one.
FLAT_SHARE = 0.3
LEAST_PHOTONS = 1e-3
TRUSTED_MISFIT = 0.1


def reconstruct(
    model: SequenceModel, raw: Array, advance: Callable[[int], None] = lambda frames: None
) -> Reconstruction:
    """Super-resolve one window and leave its density in the model.

    raw: (T, H, W) ADU, T >= 8, of the model's field. Same model, same window, same device: same picture, bit for bit.
    advance: told of every few frames done.
    """
    grid, settings = model.grid, model.settings
    if raw.ndim != 3 or raw.shape[1:] != (grid.height, grid.width) or len(raw) < LEAST_FRAMES:
        raise InputError(
            f"a window of shape {raw.shape} where (T >= {LEAST_FRAMES}, {grid.height}, {grid.width}) belongs"
        )
    with torch.inference_mode():
        y = torch.as_tensor(model.camera.photons(raw)).to(model.device)
        gains = frame_gains(y)
        statistics = window_statistics(y / gains)
        state, layers, m = _density(model, statistics)
        imaged = model.imaging.forward(m)
        brightness, background = fit_background(statistics.mean, imaged)
        seen, expected = statistics.mean, brightness * imaged + background
        picture = grid.crop(m)
        if settings.estimate != "density":
            steady = steady_light(model.imaging, seen, expected, len(y), settings.scale)
            total = _emitter_sum(model, y, gains, brightness * m + steady, background, advance)
            seen, expected = y.mean(0), model.imaging.forward(total) / len(y) + background
            emitters = grid.crop(total)
            picture = emitters if settings.estimate == "emitters" else _fuse(picture, emitters)
        misfit = _misfit(seen, expected)
        picture_array = picture.cpu().numpy()
    if not np.isfinite(picture_array).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    model.density = m
    return Reconstruction(
        picture=picture_array,
        raw_mean=raw.mean(0, dtype=np.float64).astype(np.float32),
        scale=settings.scale,
        estimate=settings.estimate,
        frames=len(raw),
        state=state,
        layers=layers,
        optics=str(model.psf),
        camera=str(model.camera),
        misfit=misfit,
        notes=_notes(model, misfit),
    )


def _density(model: SequenceModel, statistics: WindowStatistics) -> tuple[Literal["cold", "warm"], int, Tensor]:
    if model.density is None:
        layers = cold_layers(statistics.frames)
        return "cold", layers, density(model.covariance, statistics, layers)
    start = (1 - FLAT_SHARE) * model.density + FLAT_SHARE * model.density.mean()
    return "warm", WARM_LAYERS, density(model.covariance, statistics, WARM_LAYERS, start)


def _emitter_sum(
    model: SequenceModel,
    y: Tensor,
    gains: Tensor,
    light: Tensor,
    background: Tensor,
    advance: Callable[[int], None],
) -> Tensor:
    """(rows, columns) photons: all frames' emitter maps added up. light: what a cell gives in a mean frame."""
    prior, start = light / model.grid.crop(light).mean().clamp(min=1e-12), light.mean()
    positive = y.clamp(min=0) + LEAST_PHOTONS
    layers, total = QUALITY[model.settings.quality], torch.zeros_like(light)
    for part in batches(len(y), light):
        batch, gain = positive[part], gains[part]
        total += emitter_maps(model.imaging, batch, prior, start * gain, background * gain, layers).sum(0)
        advance(len(batch))
    return total


def _fuse(m: Tensor, emitters: Tensor) -> Tensor:
    """The sharper density and the truer amplitudes in equal parts, each of mean 1/2."""
    return 0.5 * (m / m.mean() + emitters / emitters.mean())


def _misfit(mean: Tensor, expected: Tensor) -> float:
    """Share of the mean frame's variance over the field that the model does not explain, 0 at best."""
    return float(((mean - expected) ** 2).sum() / ((mean - mean.mean()) ** 2).sum().clamp(min=1e-12))


def _notes(model: SequenceModel, misfit: float) -> tuple[str, ...]:
    notes = [f"{part}" for part in (model.psf, model.camera) if "assumed" in part.origin]
    if misfit > TRUSTED_MISFIT:
        notes.append(f"the model leaves {misfit:.0%} of the mean frame unexplained: check optics and camera")
    return tuple(notes)
