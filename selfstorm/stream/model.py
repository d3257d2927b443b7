"""The sequence-specific model: all that is learned from the measurements and carried from window to window."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.psf_finetuning import TUNED, Budget, FitReport, finetune
from selfstorm.calibration.psf_selection import find_psf
from selfstorm.compute.batching import BatchLimits
from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.compute.pinned_upload import Uploads
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.bad_data import flashes, hot_pixels, interpolate_hot_pixels, levels
from selfstorm.physics.camera import Camera, calibrate
from selfstorm.physics.operators import Grid, Imaging, LaggedCovariance
from selfstorm.psf.models import Psf
from selfstorm.stages.out_of_focus import OutOfFocusBackground
from selfstorm.stream.covariance_history import CovarianceHistory
from selfstorm.stream.frame_store import FrameBuffer
from selfstorm.stream.processing_level import Estimate, ProcessingLevel, Quality

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
    def effort(self) -> ProcessingLevel:
        """All that was asked for."""
        return ProcessingLevel("full", self.estimate, self.quality)

    @property
    def network_scale(self) -> int:
        """Cells along a camera pixel that the networks work on."""
        return FITTED_SCALE if self.estimate == "fused" else self.scale


class SequenceModel:
    """All that is learned from one stream.

    camera, psf: given, or learned from the first window. hot: (H, W) bool, pixels whose value is not believed.
    moments: of all frames so far; as they grow the PSF is learned again. density: what the last window left, (rows,
    columns) on the padded grid, or None before the first. memory: what stage A remembers of the frames so far. film:
    the frames that windows may still ask for; left_out: numbers of those that are not believed, and why. levels: how
    bright the last frames were; unlit, flashed: how many in a row were dark, or far too bright. frames: how many the
    moments have seen. last_number: of the last frame of this stream that was watched, -1 before. limits: how much is
    done at once at most. uploads: the way of new frames to the device.
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
        self.memory = CovarianceHistory()
        self.film: FrameBuffer = ()
        self.left_out: tuple[tuple[int, str], ...] = ()
        self.levels: Array = np.zeros(0)
        self.dark_frames, self.flashed, self.frames, self.last_number = 0, 0, 0, -1
        self._learned_already = self._refit_due = False
        self.limits, self.uploads = BatchLimits.on(device), Uploads(device)
        self._patience, self._trusted_psf = 0, settings.psf
        self._use(psf)

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, device: torch.device) -> SequenceModel:
        """The model of a stream that starts with first_window, (T, H, W) ADU."""
        height, width = first_window.shape[1:]
        if min(height, width) < LEAST_SIDE_PX:
            raise InputError(
                f"a field of {width} x {height} pixels", hint=f"give at least {LEAST_SIDE_PX} on each side"
            )
        darkest = float(np.quantile(first_window.mean(0), 0.01))
        level = levels(first_window - darkest)
        calm = first_window[~flashes(level, level)]
        hot = hot_pixels(calm)
        good = interpolate_hot_pixels(calm, hot)
        camera = calibrate(good, settings.offset_adu, settings.gain_adu_per_electron)
        moments = FieldMoments()
        moments.add(camera.photons(good))
        psf = find_psf(moments, settings.pixel_nm, settings.psf).psf
        model = cls(settings, (height, width), camera, moments, psf, device)
        model.hot, model.frames, model._learned_already = hot, len(calm), True
        return model

    def copy(self) -> SequenceModel:
        """A model that learns on from here without a trace in this one."""
        other = copy(self)
        other.moments = copy(self.moments)
        return other

    def start_stream(self) -> None:
        """Frames of another stream of the same field follow: what was learned holds, their numbers start again."""
        self.film, self.left_out, self.last_number = (), (), -1
        self.levels, self.dark_frames, self.flashed = np.zeros(0), 0, 0
        self.memory = self.memory.carried_on()

    def photons(self, raw: Array, room: Array | None = None) -> Array:
        """(T, H, W) ADU -> float32 photons, hot pixels mended, in `room` if there is one."""
        return self.camera.photons(interpolate_hot_pixels(raw, self.hot), room)

    def forget(self, number: int) -> None:
        """From that frame on another scene is shown: the camera stays, the optics until the new frames contradict."""
        self.density, self.film, self.memory = None, (), CovarianceHistory(since=number)
        self.moments, self.frames, self._patience = FieldMoments(), 0, 0
        self._trusted_psf = self.psf

    def learn(self, photons: Array) -> None:
        """Moments of new frames (T, H, W) photons too, but for those that the model was made from.

        It is time to fit the PSF again each time the stream is twice as long: error bars shrink slowly.
        """
        if self._learned_already:
            self._learned_already = False
            return
        self.moments.add(photons)
        before, self.frames = self.frames, self.frames + len(photons)
        self._refit_due |= self.frames.bit_length() > before.bit_length()

    @property
    def psf_update_due(self) -> bool:
        """Whether it is time to look at the optics again."""
        return self._refit_due or (self._patience <= 0 and self.settings.tuning_steps > 0)

    def update_psf(self, frames: Tensor) -> FitReport | None:
        """Fit the PSF again, or fine-tune it on a window, where it is time to; what fine-tuning did.

        frames: (T, H, W) photons at equal brightness.
        """
        if self._refit_due and self.psf.origin != TUNED:
            psf = find_psf(self.moments, self.settings.pixel_nm, self._trusted_psf).psf
            if psf != self.psf:
                self._use(psf)
        self._refit_due = False
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
        memory = CovarianceHistory.from_state(tensors, self.hot.shape, self.device)
        self.hot = hot.numpy()
        self.moments = FieldMoments(**{name: part.numpy() for name, part in state.items() if part is not None})
        self.density = None if density is None else density.to(self.device, torch.float32)
        self.memory = memory
        self.start_stream()

    def _use(self, psf: Psf) -> None:
        like = torch.zeros((), dtype=torch.float32, device=self.device)
        self.psf, self.graphs = psf, Graphs()
        self.imaging = Imaging(psf, self.grid, like)
        self.covariance = LaggedCovariance(psf, self.grid, like)
        self.haze = OutOfFocusBackground(psf, self.grid, like)
