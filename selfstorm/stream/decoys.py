"""Estimate the share of false localizations by decoys.

Emitters are looked for in simulated frames of which it is known where emitters are: those with the emitters that were
found, and those with background alone. Both have the noise that was measured in the frames, not what a guessed gain
would make of them. Measurements: docs/decisions/0022.

Reference:
    Elias & Gygi, Target-decoy search strategy for increased confidence in large-scale protein identifications by mass
    spectrometry, Nature Methods 4, 207 (2007), for the idea.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.frames import Array
from selfstorm.localizations import Localizations, joined
from selfstorm.metrics.claim_evidence import DecoyCount
from selfstorm.metrics.matching import match
from selfstorm.physics.operators import Grid
from selfstorm.psf.canvas import CORE_PX, Canvas
from selfstorm.psf.emitters import Emitters
from selfstorm.psf.models import Psf
from selfstorm.psf.patch_layout import PatchLayout
from selfstorm.psf.profiles import profiles
from selfstorm.psf.rendering import Windows
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.per_frame import localize_frames
from selfstorm.stream.processing_level import Quality
from selfstorm.stream.searched_frames import Illumination

MIN_DECOY_FRAMES, MAX_DECOY_FRAMES = 4, 16
DECOY_LOCALIZATIONS = 400  # enough to count what is false
MISSED_PHOTONS = 0.5  # of those of emitters that were found
MATCH_NM = 100.0  # a localization farther from every emitter is false
DARK_SHARE = 0.1  # of the background: a pixel with less light of emitters shows the noise alone
MEDIAN_OF_NORMAL = 0.6745  # median of the absolute value of a standard normal variable
MIN_DARK_SHARE = 0.02  # of all pixels, to measure the noise


def count_decoys(
    model: SequenceModel, y: Tensor, light: Illumination, found: Localizations, quality: Quality
) -> DecoyCount:
    """Localize in simulated frames and count what is false.

    Args:
        model: Model of the field.
        y: (T, H, W) photons of some frames.
        light: Illumination of the same frames.
        found: Their localizations, numbered from 0.
        quality: Of the localizations.
    """
    grid, psf = model.grid, model.calibration.psf
    excess = noise_excess(y, expected_spots(found, len(y), grid, psf, y), light.background)
    true = joined([found, missed(found, len(y))])
    spots = expected_spots(true, len(y), grid, psf, y)
    frames = torch.cat([_simulated(spots + light.background, excess, 0), _simulated(light.background, excess, 1)])
    twice = Illumination(light.emitters, torch.cat([light.background] * 2), torch.cat([light.gains] * 2))
    there = localize_frames(model, np.arange(len(frames)), frames, twice, quality)
    with_emitters = there.frame < len(y)
    simulated = there.where(with_emitters)
    hits = matched(simulated, true, MATCH_NM)
    return DecoyCount(len(found), len(simulated), len(simulated) - hits, len(there) - len(simulated), excess)


def missed(found: Localizations, frames: int) -> Localizations:
    """Make up emitters like those that were missed.

    About as many as were found are missed, dim or next to others, and these are what makes localizations false. They
    are where emitters were found half of the frames away, and half as bright.
    """
    later = (found.frame + frames // 2) % frames
    return replace(found, frame=later, photons=MISSED_PHOTONS * found.photons)


def expected_spots(found: Localizations, frames: int, grid: Grid, psf: Psf, like: Tensor) -> Tensor:
    """Return the light of localizations alone, (frames, H, W) photons."""
    canvas = Canvas(frames, grid.height, grid.width, grid.pad_px, like.device)
    tables = profiles(psf, grid.pixel_nm, CORE_PX, 2, like.device, like.dtype)
    emitters = Emitters(found.frame, found.y_nm / grid.pixel_nm, found.x_nm / grid.pixel_nm, found.photons)
    if not len(found):
        return like.new_zeros((frames, grid.height, grid.width))
    layout = PatchLayout(canvas, tables, emitters)
    y, x, photons = layout.spread(*emitters[1:])
    drawn = Windows(tables, layout.places, y, x).add(photons)
    rows, columns = (slice(canvas.before, canvas.before + side) for side in canvas.field)
    return drawn[:, rows, columns].clamp(min=0)


def noise_excess(y: Tensor, spots: Tensor, background: Tensor) -> float:
    """Measure the variance of the noise, over that of photons.

    In pixels with next to no light of emitters, by the median, which emitters that were missed hardly change; 1 where
    there are too few such pixels.
    """
    dark = spots < DARK_SHARE * background
    if float(dark.float().mean()) < MIN_DARK_SHARE:
        return 1.0
    expected = (spots + background)[dark]
    residuals = (y[dark] - expected) / expected.sqrt()
    return float(((residuals - residuals.median()).abs().median() / MEDIAN_OF_NORMAL).square())


def _simulated(expected: Tensor, excess: float, seed: int) -> Tensor:
    """Draw frames of the expected photons with the measured noise."""
    generator = torch.Generator().manual_seed(seed)  # of the CPU: the same draws on every device
    on_cpu = expected.cpu()
    noise = torch.poisson(on_cpu, generator) - on_cpu
    return (on_cpu + math.sqrt(excess) * noise).to(expected.device)


def matched(found: Localizations, true: Localizations, tolerance_nm: float) -> int:
    """Count the pairs of localizations and emitters, one to one in each frame."""
    tables = [_by_frame(one) for one in (found, true)]
    hits = 0
    for frame in tables[0].keys() & tables[1].keys():
        hits += len(match(tables[0][frame], tables[1][frame], tolerance_nm))
    return hits


def _by_frame(found: Localizations) -> dict[int, Array]:
    frame = found.frame.cpu().numpy()
    order = np.argsort(frame, kind="stable")
    yx_nm = torch.stack([found.y_nm, found.x_nm], 1).cpu().numpy()[order]
    frames, first = np.unique(frame[order], return_index=True)
    return dict(zip(frames.tolist(), np.split(yx_nm, first[1:]), strict=True)) if len(frames) else {}


def decoy_frames(frames: int, found: int) -> Array:
    """Choose the frames that decoys are made for, evenly spaced.

    Args:
        frames: of the window.
        found: localizations in all of them.
    """
    enough = math.ceil(DECOY_LOCALIZATIONS * frames / max(found, 1))
    count = min(max(enough, MIN_DECOY_FRAMES), MAX_DECOY_FRAMES, frames)
    return np.unique(np.linspace(0, frames - 1, count).round().astype(np.int64))


def renumbered(found: Localizations, numbers: Array) -> Localizations:
    """Select the localizations of some frames, numbered from 0."""
    place = np.searchsorted(numbers, found.frame.cpu().numpy()).clip(max=len(numbers) - 1)
    there = torch.as_tensor(numbers[place] == found.frame.cpu().numpy(), device=found.frame.device)
    frame = torch.as_tensor(place, device=found.frame.device)
    return replace(found, frame=frame).where(there)
