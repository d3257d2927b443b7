"""Frames of a block, as stages B and C search them for emitters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from selfstorm.compute.batching import frames_together
from selfstorm.frames import Array
from selfstorm.localizations import Localizations
from selfstorm.psf.emitters import Emitters
from selfstorm.stages.candidates import candidates
from selfstorm.stages.emitters import EMITTER_SETTINGS, emitter_maps
from selfstorm.stages.localization import localize
from selfstorm.stages.localization_settings import LOCALIZATION_SETTINGS
from selfstorm.stream.frame_store import FrameBlock
from selfstorm.stream.model import SequenceModel
from selfstorm.stream.processing_level import Quality

MIN_PHOTONS = 1e-3
MIN_BACKGROUND = 1e-2  # photons


@dataclass(frozen=True)
class Illumination:
    """Light that the emitters of some frames are found in.

    Attributes:
        emitters: (rows, columns) > 0, photons that a cell of the padded grid emits in a mean frame.
        background: (T, H, W) photons.
        gains: (T, 1, 1) brightness of each frame.
    """

    emitters: Tensor
    background: Tensor
    gains: Tensor

    @classmethod
    def at(cls, gains: Tensor, emitters: Tensor, background: Tensor) -> Illumination:
        """Make the light of frames of other brightness.

        Args:
            gains: (T, 1, 1) brightness of each frame.
            emitters: (rows, columns) photons in a mean frame.
            background: (T, H, W) photons at the brightness of a mean frame.
        """
        return cls(emitters, background.clamp(min=MIN_BACKGROUND) * gains, gains)


@dataclass(frozen=True)
class SearchedFrames:
    """Frames with all that the search for their emitters needs.

    Attributes:
        model: Model of the field.
        quality: Sets the iterations.
        numbers: (T,) of the frames.
        y: (T, H, W) photons, what positions are fitted to.
        background: (T, H, W) photons of the same.
        variance: (H, W) photons^2 of the camera's read noise; None where it is not known.
        poisson: (T, H, W) > 0 and its background; with the read noise added to both, their noise is Poisson.
        prior: (rows, columns) density of emitters, mean 1 over the field.
        start: (T, 1, 1) photons that each cell of a map starts from.
    """

    model: SequenceModel
    quality: Quality
    numbers: Array
    y: Tensor
    background: Tensor
    variance: Tensor | None
    poisson: tuple[Tensor, Tensor]
    prior: Tensor
    start: Tensor

    @classmethod
    def of(cls, model: SequenceModel, block: FrameBlock, light: Illumination, quality: Quality) -> SearchedFrames:
        """Prepare the frames of a block.

        Args:
            model: Model of the field.
            block: The frames.
            light: Illumination of the same frames.
            quality: Sets the iterations.
        """
        prior = light.emitters / model.grid.crop(light.emitters).mean().clamp(min=1e-12)
        start = light.emitters.mean() * light.gains
        y, calibration = block.y.clamp(min=0) + MIN_PHOTONS, model.calibration
        poisson, variance = (y, light.background), calibration.read_variance(y)
        if variance is not None:
            y = block.y
            poisson = (y + variance).clamp(min=0) + MIN_PHOTONS, light.background + variance
            variance = calibration.read_variance(y, of_fits=True)
        return cls(model, quality, block.numbers, y, light.background, variance, poisson, prior, start)

    def maps_from(self, begin: int, *, localizing: bool) -> tuple[int, Tensor, Emitters | None]:
        """Compute the emitter maps of a batch from frame `begin` on.

        Returns:
            The end of the batch, the sum of its maps, and the candidates for emitters if these are to be localized.
        """
        model, imaging = self.model, self.model.operators.imaging

        def network(y: Tensor, prior: Tensor, start: Tensor, background: Tensor) -> Tensor:
            return emitter_maps(imaging, y, prior, start, background, EMITTER_SETTINGS[self.quality])

        part = slice(begin, begin + frames_together(self.prior.numel(), model.compute.planned.map_bytes))
        y, background = (values[part] for values in self.poisson)
        inputs = y, self.prior, self.start[part], background
        maps = model.operators.graphs.run(("emitters", self.quality), network, *inputs)
        return begin + len(maps), maps.sum(0), candidates(maps, model.grid) if localizing else None

    def fitted_from(self, begin: int, end: int, waiting: Emitters, start: int) -> tuple[int, Localizations]:
        """Localize the emitters of one group of frames from frame `begin` on.

        Args:
            begin: First frame of the group.
            end: End of the frames that have candidates.
            waiting: Candidates, their frames counted from `start`.
            start: Number of their first frame.

        Returns:
            The end of the group; and its localizations, with the stream's numbers for their frames.
        """
        model = self.model
        stop = group_end(waiting.frame, begin - start, end - start, model.compute.max_group) + start
        chosen = waiting
        if (begin, stop) != (start, end):
            chosen = waiting.where((waiting.frame >= begin - start) & (waiting.frame < stop - start))
        if begin > start:
            chosen = chosen._replace(frame=chosen.frame - (begin - start))
        y, background = self.y[begin:stop], self.background[begin:stop]
        settings, psf = LOCALIZATION_SETTINGS[self.quality], model.calibration.psf
        graphs = model.operators.graphs
        fit = localize(y, chosen, background, self.prior, psf, model.grid, settings, self.variance, graphs)
        numbers = torch.as_tensor(self.numbers[begin:stop], device=fit.frame.device)
        return stop, replace(fit, frame=numbers[fit.frame])


def group_end(frame: Tensor, begin: int, end: int, max_emitters: int | None) -> int:
    """Return the end of a group of frames that hold at most so many emitters.

    Args:
        frame: (E,) frame of each emitter.
        begin: first frame of the group, which is in it however many emitters it holds.
        end: end of the last group.
        max_emitters: limit; None for all frames in one group.
    """
    if max_emitters is None:
        return end
    held = torch.bincount(frame, minlength=end)[begin:end].cumsum(0)
    return begin + max(1, int((held <= max_emitters).sum()))
