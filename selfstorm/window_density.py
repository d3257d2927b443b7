"""Stage A's part of a window: its frames cleared of haze, what is remembered with them, and the density of both."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

from selfstorm.background import fit_background
from selfstorm.density import cold_layers, density
from selfstorm.frame_by_frame import Place
from selfstorm.haze import Haze
from selfstorm.memory import Memory
from selfstorm.model import Estimate, SequenceModel
from selfstorm.recognition import another_scene
from selfstorm.statistics import statistics_of, window_statistics

ROUGH_LAYERS = 20  # enough to tell emitters from haze


class WindowDensity(NamedTuple):
    """haze: (T, H, W) photons. mean: (H, W) photons, the frames of the scene without it. density: (rows, columns).

    state: 'warm' where the scene was known before. memory: with the window's frames.
    """

    haze: Tensor
    mean: Tensor
    density: Tensor
    state: Literal["cold", "warm"]
    layers: int
    memory: Memory


def window_density(model: SequenceModel, y: Tensor, gains: Tensor, place: Place, estimate: Estimate) -> WindowDensity:
    """Emitter density behind a window, y (T, H, W) photons with gains (T, 1, 1). The model is left as it is.

    Its layers always start flat: on a sample that moves every start from the density before was worse, and one that
    stands still gains more from a longer memory.
    """
    known, memory = model.density, model.memory
    haze = _haze(model, known, y, gains)
    if known is not None:
        recent = memory.newest(place.numbers)
        if another_scene(model.covariance.forward(known), (y / gains - haze)[recent]):
            known, memory = None, Memory(since=int(place.numbers[recent][0]))
            haze = _haze(model, known, y, gains)
    frames = y / gains - haze
    memory = memory.with_window(frames, place.numbers)
    shown = memory.of_scene(place.numbers)
    numbers, frames = place.numbers[shown], frames[shown]
    if memory.older_than(numbers):
        memory = memory.planned()
        # as of the frames that emitters are looked for in; where the density is the picture, of the window
        whole = estimate == "density"
        middle = float((numbers if whole else numbers[-place.stride :]).mean())
        statistics = statistics_of(memory.at(middle, len(numbers) if whole else 0), frames.mean(0))
    else:
        statistics = window_statistics(frames)
    layers = cold_layers(statistics.frames)
    m = density(model.covariance, statistics, layers)
    return WindowDensity(haze, statistics.mean, m, "cold" if known is None else "warm", layers, memory)


def _haze(model: SequenceModel, known: Tensor | None, y: Tensor, gains: Tensor) -> Tensor:
    """(T, H, W) photons at equal brightness by which each frame's smooth light differs from the mean frame's."""
    statistics = window_statistics(y / gains)
    rough = density(model.covariance, statistics, ROUGH_LAYERS) if known is None else known
    brightness, background = fit_background(statistics.mean, model.imaging.forward(rough))
    return Haze(model.psf, model.grid, y).changes(y, gains, brightness * rough, background)
