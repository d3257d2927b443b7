"""The sequence-specific model of one field: calibration and state.

The model is one value, so that a copy and a roll-back are assignments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.calibration.focus import assess_focus
from selfstorm.calibration.psf_finetuning import FitReport
from selfstorm.calibration.psf_selection import OUT_OF_FOCUS, find_psf, unknown_psf
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.bad_data import dark_among, flashes, hot_pixels, interpolate_hot_pixels, levels, saturation_level
from selfstorm.physics.bright_sources import bright_sources
from selfstorm.physics.camera import Camera, calibrate
from selfstorm.physics.fixed_pattern import check_fixed_pattern
from selfstorm.physics.masked import FieldMask
from selfstorm.physics.operators import Grid
from selfstorm.psf.models import Psf
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.frame_selection import MAX_LEVELS, NOT_FINITE, LightLevels
from selfstorm.stream.instrument import Calibration, FieldOperators
from selfstorm.stream.psf_learning import PsfLearning
from selfstorm.stream.settings import Settings
from selfstorm.stream.window import check_enough

MIN_SIDE_PX = 4
PHOTONS = Camera(0.0, 1.0, "photons")  # of frames that are converted already
PART_FRAMES = 64  # of a first window, in float64 at once


@dataclass(frozen=True, eq=False)
class SequenceModel:
    """Calibration, state, operators and device of one field.

    A value: functions take one and return another, so that a copy and a roll-back are assignments.
    """

    settings: Settings
    calibration: Calibration
    state: FieldState
    operators: FieldOperators
    compute: Compute

    @property
    def grid(self) -> Grid:
        """Padded SR grid of the field."""
        return self.operators.grid

    def with_psf(self, psf: Psf) -> SequenceModel:
        """Return the model with another PSF and its operators."""
        if psf == self.calibration.psf:
            return self
        operators = FieldOperators.of(psf, self.grid, self.compute.device)
        return replace(self, calibration=replace(self.calibration, psf=psf), operators=operators)

    def with_state(self, **changes: object) -> SequenceModel:
        """Return the model with parts of its state replaced."""
        return replace(self, state=replace(self.state, **changes))  # type: ignore[arg-type]


def model_of(
    settings: Settings, calibration: Calibration, compute: Compute, state: FieldState | None = None
) -> SequenceModel:
    """Make a model of a calibrated field from a state.

    The field has the (H, W) of the calibration's map of hot pixels.
    """
    height, width = calibration.hot_pixels.shape
    grid = Grid(height, width, settings.grid_scale, settings.pixel_nm)
    operators = FieldOperators.of(calibration.psf, grid, compute.device)
    state = state or FieldState(psf_learning=PsfLearning(start=settings.psf))
    return SequenceModel(settings, calibration, state, operators, compute)


def learn_model(settings: Settings, first_window: Array, compute: Compute) -> SequenceModel:
    """Learn what the settings do not give from the first window of a stream.

    Args:
        settings: settings of the stream.
        first_window: (T, H, W) ADU.
        compute: the device.

    Raises:
        InputError: the field is too small.
        TooFewFramesError: too few frames are finite.
    """
    calibration, state = learn_calibration(settings, first_window)
    return model_of(settings, calibration, compute, state)


def learn_calibration(settings: Settings, first_window: Array) -> tuple[Calibration, FieldState]:
    """Learn PSF, camera and bad pixels of a stream, and its first state.

    Args:
        settings: settings of the stream.
        first_window: (T, H, W) ADU.

    Raises:
        InputError: the field is too small.
        TooFewFramesError: too few frames are finite.
    """
    height, width = first_window.shape[1:]
    if min(height, width) < MIN_SIDE_PX:
        raise InputError(f"a field of {width} x {height} pixels", hint=f"give at least {MIN_SIDE_PX} on each side")
    raw = first_window = finite_frames(first_window)
    mask = FieldMask.found_in(first_window)
    clipped = mask.clipped(first_window)
    pixels = settings.pixels
    if pixels is not None:
        if pixels.shape != (height, width):
            raise InputError(f"a calibration of {pixels.shape} pixels for frames of {(height, width)}", where="camera")
        check_fixed_pattern(first_window, pixels)
        first_window = pixels.photons(first_window)
    first_window = mask.filled(first_window)
    level, dark = _dark(first_window)
    without_light = _where(first_window, dark)
    first_window, level = _where(first_window, ~dark), level[~dark]
    calm = _where(first_window, ~flashes(level, level))
    hot = hot_pixels(calm)
    good = interpolate_hot_pixels(calm, hot)
    if pixels is None:
        camera = converted = calibrate(good, settings.offset_adu, settings.gain_adu_per_electron)
    else:
        camera, converted = pixels.camera, PHOTONS
    photons = converted.photons(good)
    mask = mask.with_pixels(bright_sources(photons, clipped))
    good = mask.filled(good)
    moments = FieldMoments()
    clear = photons[:, *mask.clear_part]
    moments.add(clear)
    focus = assess_focus(moments, settings.pixel_nm, settings.psf)
    lost = focus is not None and focus.lost
    psf = (unknown_psf(settings.psf, OUT_OF_FOCUS) if lost else find_psf(moments, settings.pixel_nm, settings.psf)).psf
    learning = PsfLearning(moments, len(calm), settings.psf, holds_first_window=True, focus=focus)
    state = FieldState(psf_learning=learning.with_changes(clear), light=_light_levels(converted, good, without_light))
    clipping = saturation_level(good if pixels is None else raw[:, ~pixels.bad])
    return Calibration(psf, camera, hot, clipping, mask, pixels), state


def light_levels(camera: Camera, first_window: Array) -> LightLevels:
    """Measure the brightness of lit and of dark frames of a first window.

    Frames are ingested in parts, and the first part may hold nothing but dark ones.

    Args:
        camera: of the frames.
        first_window: (T, H, W) ADU.
    """
    frames = finite_frames(first_window)
    _, dark = _dark(frames)
    return _light_levels(camera, _where(frames, ~dark), _where(frames, dark))


def _light_levels(camera: Camera, lit: Array, without_light: Array) -> LightLevels:
    if not len(without_light):
        return LightLevels()
    dark = float(np.median(levels(camera.photons(without_light))))
    return LightLevels(levels(camera.photons(lit))[-MAX_LEVELS:], dark=dark)


def _dark(frames: Array) -> tuple[Array, Array]:
    """Return the brightness of frames (T, H, W), and which are dark."""
    darkest = float(np.quantile(frames.mean(0), 0.01))
    level = np.concatenate([levels(part - darkest) for part in _parts(frames)])
    return level, dark_among(frames, level)


def finite_frames(frames: Array) -> Array:
    """Select the frames without values that are not finite."""
    finite = np.asarray(np.isfinite(frames).all((1, 2))) if frames.dtype.kind == "f" else np.ones(len(frames), bool)
    if not finite.all():
        check_enough(int(finite.sum()), (NOT_FINITE,) * int((~finite).sum()))
    return _where(frames, finite)


def _where(frames: Array, chosen: Array) -> Array:
    """Return the chosen frames, without a copy where these are all."""
    return frames if chosen.all() else frames[chosen]


def _parts(frames: Array) -> list[Array]:
    """Cut frames into parts that are computed with in little memory."""
    return [frames[first : first + PART_FRAMES] for first in range(0, len(frames), PART_FRAMES)]


def update_psf(model: SequenceModel, frames: Tensor) -> tuple[SequenceModel, FitReport | None]:
    """Update the PSF where that is due.

    Args:
        model: Model of the field.
        frames: (T, H, W) photons at equal brightness.

    Returns:
        The model with the new PSF, and a report of the fine-tuning, None where it was not due.
    """
    learning, psf, report = model.state.psf_learning.update(model.calibration.psf, frames, model.settings)
    return model.with_state(psf_learning=learning).with_psf(psf), report
