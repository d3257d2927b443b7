"""The sequence-specific model: all that is learned from the measurements and carried from window to window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from selfstorm.camera import Camera, calibrate
from selfstorm.defects import flashes, hot_pixels, mended
from selfstorm.errors import InputError
from selfstorm.field_moments import FieldMoments
from selfstorm.finetune import TUNED, Budget, FitReport, finetune
from selfstorm.frames import Array
from selfstorm.localize import Localizations
from selfstorm.memory import Memory
from selfstorm.operators import Grid, Imaging, LaggedCovariance
from selfstorm.optics import Psf
from selfstorm.psf_from_data import find_psf

Estimate = Literal["density", "emitters", "fused"]
Quality = Literal["best", "fast"]
ModelName = Literal["unrolled", "paper"]
LEAST_SIDE_PX = 4
# Windows to pass before the optics are looked at again: what agreed will agree for a while, what did not help will not.
PATIENCE = {"kept": 0, "not needed": 3, "not possible": 3, "rolled back": 10}
FITTED_SCALE = 4  # localisations are finer than the cells they are found on


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. None: learned from the first window.

    scale: the picture's SR cells along a camera pixel. estimate: 'density', what fluctuates; 'emitters', the sum of the
    frames' emitter maps; 'fused', localisations together with the maps, as crowded as the emitters are. model: ours, or
    the paper's, which takes nothing but the scale. tuning_steps: budget of a window's fine-tuning by gradient; 0: none.
    """

    pixel_nm: float
    psf: Psf | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: float | None = None
    scale: int = 4
    estimate: Estimate = "fused"
    quality: Quality = "best"
    model: ModelName = "unrolled"
    tuning_steps: int = 8

    @property
    def network_scale(self) -> int:
        """Cells along a camera pixel that the networks work on."""
        return FITTED_SCALE if self.estimate == "fused" else self.scale


@dataclass(frozen=True)
class Part:
    """What was made of some consecutive frames of a stream.

    numbers: (T,) of the frames. total: (rows, columns) photons of their emitter maps added up. found: localisations
    with the stream's frame numbers, None where none were wanted.
    """

    numbers: Array
    total: Tensor
    found: Localizations | None


class SequenceModel:
    """All that is learned from one stream.

    camera, psf: given, or learned from the first window. hot: (H, W) bool, pixels whose value is not believed.
    moments: of all frames so far; as they grow the PSF is learned again. density: what the last window left, (rows,
    columns) on the padded grid, or None before the first. memory: what stage A remembers of the frames so far. parts:
    what was made of the last window's frames. frames: how many the moments have seen. last_number: of the last frame
    they have seen; None for that of the window the model was made from, -1 for none of this stream.
    """

    def __init__(
        self,
        settings: Settings,
        field: tuple[int, int],
        camera: Camera,
        moments: FieldMoments,
        psf: Psf,
        device: torch.device,
    ) -> None:
        self.settings, self.camera, self.moments, self.device = settings, camera, moments, device
        self.hot: Array = np.zeros(field, bool)
        self.grid = Grid(*field, settings.network_scale, settings.pixel_nm)
        self.density: Tensor | None = None
        self.memory = Memory()
        self.parts: list[Part] = []
        self.frames = 0
        self.last_number: int | None = None
        self._patience = 0
        self._use(psf)

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, device: torch.device) -> SequenceModel:
        """The model of a stream that starts with first_window, (T, H, W) ADU."""
        height, width = first_window.shape[1:]
        if min(height, width) < LEAST_SIDE_PX:
            raise InputError(
                f"a field of {width} x {height} pixels", mend=f"give at least {LEAST_SIDE_PX} on each side"
            )
        darkest = float(np.quantile(first_window.mean(0), 0.01))
        calm = first_window[~flashes(first_window - darkest)]
        hot = hot_pixels(calm)
        good = mended(calm, hot)
        camera = calibrate(good, settings.offset_adu, settings.gain_adu_per_electron)
        moments = FieldMoments()
        moments.add(camera.photons(good))
        psf = find_psf(moments, settings.pixel_nm, settings.psf).psf
        model = cls(settings, (height, width), camera, moments, psf, device)
        model.hot, model.frames = hot, len(first_window)
        return model

    def photons(self, raw: Array) -> Array:
        """(T, H, W) ADU -> float32 photons, hot pixels mended."""
        return self.camera.photons(mended(raw, self.hot))

    def observe(self, photons: Array, numbers: Array) -> int:
        """Learn the PSF also from those frames, (T, H, W) photons with their numbers, that were not seen before.

        It is fitted again each time the stream is twice as long: a fit takes time, and error bars shrink slowly.
        Returns how many frames were new to the model.
        """
        first, self.last_number = self.last_number, int(numbers[-1])
        if first is None:
            return len(photons)
        new = photons[numbers > first]
        if not np.isfinite(new).all():
            return len(new)
        self.moments.add(new)
        before, self.frames = self.frames, self.frames + len(new)
        if self.psf.origin != TUNED and self.frames.bit_length() > before.bit_length():
            psf = find_psf(self.moments, self.settings.pixel_nm, self.settings.psf).psf
            if psf != self.psf:
                self._use(psf)
        return len(new)

    def finetune(self, frames: Tensor) -> FitReport | None:
        """Fine-tune the optics on a window, (T, H, W) photons at equal brightness; None where it is not time for it."""
        self._patience -= 1
        if self._patience >= 0 or self.settings.tuning_steps == 0:
            return None
        report = finetune(self.psf, frames, self.settings.pixel_nm, Budget(self.settings.tuning_steps))
        self._patience = PATIENCE[report.outcome]
        if report.psf != self.psf:
            self._use(report.psf)
        return report

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, on the CPU: the moments and, after the first window, the density and the memory."""
        tensors = {f"moments.{name}": torch.tensor(values) for name, values in self.moments.state().items()}
        tensors["hot"] = torch.tensor(self.hot)
        if self.density is not None:
            tensors["density"] = self.density.detach().cpu().clone()
        return tensors | self.memory.state()

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a state_dict of the same field and scale. Raises InputError where it is not one."""
        state = {name: tensors.get(f"moments.{name}") for name in self.moments.state()}
        density = tensors.get("density")
        if any(part is None for part in state.values()):
            raise InputError(f"no moments among {', '.join(tensors) or 'no tensors'}", where="state")
        if density is not None and (density.shape != self.grid.cells or not bool((density >= 0).all())):
            raise InputError(f"a density of shape {tuple(density.shape)} for {self.grid}", where="state")
        hot = tensors.get("hot")
        if hot is None or hot.dtype != torch.bool or hot.shape != self.hot.shape:
            raise InputError("no map of hot pixels for this field", where="state")
        memory = Memory.from_state(tensors, self.hot.shape, self.device)
        self.hot = hot.numpy()
        self.moments = FieldMoments(**{name: part.numpy() for name, part in state.items() if part is not None})
        self.density = None if density is None else density.to(self.device, torch.float32)
        self.parts, self.memory, self.last_number = [], memory, -1

    def _use(self, psf: Psf) -> None:
        like = torch.zeros((), dtype=torch.float32, device=self.device)
        self.psf = psf
        self.imaging = Imaging(psf, self.grid, like)
        self.covariance = LaggedCovariance(psf, self.grid, like)
