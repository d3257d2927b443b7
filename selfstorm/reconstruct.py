"""(model, window) -> picture: statistics, density (A), background, emitters (B), localisations (C), and one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selfstorm.background import fit_background
from selfstorm.defects import flashes
from selfstorm.errors import InputError
from selfstorm.frame_by_frame import Light, Place, localizations_of, parts_of_window
from selfstorm.frames import Array
from selfstorm.light import frame_gains
from selfstorm.model import Estimate, SequenceModel
from selfstorm.reconstruction import Reconstruction
from selfstorm.render import fuse, render
from selfstorm.steady import steady_light
from selfstorm.window_density import window_density

LEAST_FRAMES = 8
LEAST_BACKGROUND = 1e-2  # photons
TRUSTED_MISFIT = 0.1


def reconstruct(
    model: SequenceModel,
    raw: Array,
    place: Place | None = None,
    advance: Callable[[int], None] = lambda frames: None,
    estimate: Estimate | None = None,
) -> Reconstruction:
    """Super-resolve one window and leave what was learned in the model.

    raw: (T, H, W) ADU, T >= 8, of the model's field. place: where it lies in its stream, so that frames already looked
    at are not looked at again; None for a window of its own. advance: told of every few frames done. estimate: less
    than the settings ask for, to save time. Same model, same window, same device: same picture, bit for bit.
    """
    grid, settings = model.grid, model.settings
    if raw.ndim != 3 or raw.shape[1:] != (grid.height, grid.width) or len(raw) < LEAST_FRAMES:
        raise InputError(
            f"a window of shape {raw.shape} where (T >= {LEAST_FRAMES}, {grid.height}, {grid.width}) belongs"
        )
    place, estimate = place or _alone(model, len(raw)), estimate or settings.estimate
    photons = model.photons(raw)
    if not np.isfinite(photons).all():
        raise FloatingPointError("frames of this window hold values that are not finite")
    flash = flashes(photons)
    if flash.any() and len(raw) - flash.sum() >= LEAST_FRAMES:
        photons, place = photons[~flash], replace(place, numbers=place.numbers[~flash])
    unseen = model.observe(photons, place.numbers)
    with torch.inference_mode():
        y = torch.as_tensor(photons).to(model.device)
        gains = frame_gains(y)
        fit = model.finetune(y / gains)
        haze, mean, m, state, layers, memory = window_density(model, y, gains, place, estimate)
        imaged = model.imaging.forward(m)
        brightness, background = fit_background(mean, imaged)
        seen, expected = mean, brightness * imaged + background
        picture, parts, found = grid.crop(m), [], None
        if estimate != "density":
            steady = steady_light(model.imaging, seen, expected, len(y), grid.scale)
            light = Light(brightness * m + steady, (background + haze).clamp(min=LEAST_BACKGROUND) * gains, gains)
            parts = parts_of_window(model, y, light, place, estimate == "fused", advance)
            total, found = torch.stack([part.total for part in parts]).sum(0), localizations_of(parts)
            seen, expected = y.mean(0), model.imaging.forward(total) / len(y) + background
            picture = grid.crop(total)
        if estimate == "fused" and found is not None:
            drawn = render(found, light.emitters, grid, len(y), settings.scale)
            picture = fuse(drawn, picture, found.crowding, settings.pixel_nm / settings.scale, len(y))
        misfit = _misfit(seen, expected, len(y))
        picture_array = _resampled(picture, grid.height * settings.scale).cpu().numpy()
    if not np.isfinite(picture_array).all():
        raise FloatingPointError("the reconstruction of this window is not finite")
    kept = {id(part) for part in model.parts}
    new_frames = sum(len(part.numbers) for part in parts if id(part) not in kept) if parts else unseen
    model.density, model.parts, model.memory = m, parts, memory
    return Reconstruction(
        picture=picture_array,
        raw_mean=raw.mean(0, dtype=np.float64).astype(np.float32),
        scale=settings.scale,
        estimate=estimate,
        frames=len(photons),
        new_frames=new_frames,
        state=state,
        layers=layers,
        optics=str(model.psf),
        camera=str(model.camera),
        misfit=misfit,
        notes=_notes(model, misfit, len(raw) - len(photons), found is not None and not len(found))
        + memory.notes(place.numbers, settings.pixel_nm),
        fit=fit,
        psf=model.psf,
        localizations=found,
    )


def _alone(model: SequenceModel, frames: int) -> Place:
    """A place behind everything the model has seen."""
    first = 0 if model.last_number is None else model.last_number + 1
    return Place(np.arange(first, first + frames), first, frames)


def _resampled(picture: Tensor, rows: int) -> Tensor:
    """The picture on so many rows of square cells; photons stay what they are."""
    share = rows / picture.shape[0]
    if share == 1:
        return picture
    shape = rows, round(picture.shape[1] * share)
    return F.interpolate(picture[None, None], size=shape, mode="area")[0, 0] / share**2


def _misfit(mean: Tensor, expected: Tensor, frames: int) -> float:
    """Share of the mean frame's variance over the field that the model does not explain, 0 at best.

    Shot noise is taken off both; 0 where the mean frame shows nothing but noise.
    """
    noise = float(mean.clamp(min=0).sum()) / frames
    shown = float(((mean - mean.mean()) ** 2).sum()) - noise
    left = float(((mean - expected) ** 2).sum()) - noise
    return min(max(left, 0.0) / shown, 1.0) if shown > noise else 0.0


def _notes(model: SequenceModel, misfit: float, flashes: int, empty: bool) -> tuple[str, ...]:
    notes = [f"{part}" for part in (model.psf, model.camera) if "assumed" in part.origin]
    if misfit > TRUSTED_MISFIT:
        notes.append(f"the model leaves {misfit:.0%} of the mean frame unexplained: check optics and camera")
    if hot := int(model.hot.sum()):
        notes.append(f"{hot} hot pixel{'s' * (hot > 1)} replaced by the neighbours")
    if flashes:
        notes.append(f"{flashes} frame{'s' * (flashes > 1)} left out: brighter all over than any blinking")
    if empty:
        notes.append("no emitter stands out from the noise: the picture is empty")
    return tuple(notes)
