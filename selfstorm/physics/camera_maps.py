"""Calibrated camera: offset, gain and read noise of each pixel.

Photons of a pixel are y = (raw - offset) / gain. Where the camera multiplies electrons (EMCCD), their variance is
larger than their number by the excess noise factor F^2: divided by it, photons have Poisson statistics again, and the
method computes with those 'effective' photons. Read noise adds a variance that each pixel has of its own; a bad pixel
is one whose variance is unknown, so that it weighs nothing.

Reference:
    Huang et al., Nature Methods 10, 653 (2013), for sCMOS; Robbins & Hadwen, IEEE Trans. Electron Devices 50, 1227
    (2003), for EM gain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.bad_pixels import BadPixels
from selfstorm.physics.camera import Camera
from selfstorm.physics.em_gain import excess_noise_of

BAD_PIXEL_VARIANCE = 1e5  # photons^2: next to it, the variance of any light is small, and float32 still resolves it
CALIBRATED = "each pixel calibrated"


def uniform_calibration(
    name: str, offset_adu: float, gain_adu_per_electron: float, read_noise_electrons: float, em_gain: float = 1.0
) -> CameraCalibration:
    """Make the calibration of a camera whose pixels are alike, of one pixel."""
    values = offset_adu, gain_adu_per_electron, read_noise_electrons
    offset, gain, noise = (np.full((1, 1), value, np.float32) for value in values)
    return CameraCalibration(name, offset, gain, noise, np.zeros((1, 1), bool), em_gain, excess_noise_of(em_gain))


@dataclass(frozen=True, eq=False)
class CameraCalibration:
    """Calibration of each pixel of a camera, or of a region of its sensor.

    Two are equal where their values are. One of a single pixel, (1, 1), stands for cameras whose pixels are alike.

    Attributes:
        name: serial number or label of the camera.
        offset_adu: (H, W) float32, level of a dark pixel.
        gain_adu_per_electron: (H, W) float32 > 0, EM gain included.
        read_noise_electrons: (H, W) float32 >= 0, standard deviation.
        bad: (H, W) bool, pixels that measure nothing: dead, hot or too noisy.
        em_gain: multiplication of the electrons, 1 without.
        excess_noise: F^2 >= 1.
        roi_yx: first row and column on the sensor.
        binning: of the camera when it was calibrated.
    """

    name: str
    offset_adu: Array
    gain_adu_per_electron: Array
    read_noise_electrons: Array
    bad: Array
    em_gain: float = 1.0
    excess_noise: float = 1.0
    roi_yx: tuple[int, int] = (0, 0)
    binning: int = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CameraCalibration) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the maps."""
        height, width = self.bad.shape
        return height, width

    @cached_property
    def digest(self) -> str:
        """Hash of name and values, eight hexadecimal digits."""
        facts = (self.name, self.em_gain, self.excess_noise, self.roi_yx, self.binning)
        hashed = blake2b(repr(facts).encode(), digest_size=4)
        for each in self._maps:
            hashed.update(np.ascontiguousarray(each).tobytes())
        return hashed.hexdigest()

    @cached_property
    def camera(self) -> Camera:
        """The camera's median pixel; its gain is that of effective photons."""
        good = ~self.bad
        offset, gain = (float(np.median(each[good])) for each in (self.offset_adu, self._adu_per_photon))
        em = f", EM gain {self.em_gain:.4g}" if self.em_gain > 1 else ""
        return Camera(offset, gain, f"{CALIBRATED}: {self.name} {self.digest}{em}")

    @cached_property
    def _adu_per_photon(self) -> Array:
        return np.asarray(self.gain_adu_per_electron * np.float32(self.excess_noise), np.float32)

    @cached_property
    def read_variance(self) -> Array:
        """Variance beside that of the light, (H, W) float32 effective photons^2.

        Bad pixels, which are interpolated, have that of the median pixel.
        """
        variance = (self.read_noise_electrons / np.float32(self.excess_noise)) ** 2
        return np.where(self.bad, np.median(variance[~self.bad]), variance).astype(np.float32)

    @cached_property
    def fit_variance(self) -> Array:
        """The same with so much for bad pixels that they weigh nothing."""
        return np.where(self.bad, np.float32(BAD_PIXEL_VARIANCE), self.read_variance)

    @cached_property
    def bad_pixels(self) -> BadPixels:
        """The bad pixels, with the weights of the good ones around them."""
        return BadPixels.of(self.bad)

    def photons(self, raw: Array, out: Array | None = None) -> Array:
        """Convert raw frames to effective photons; bad pixels are interpolated.

        Args:
            raw: (T, H, W) ADU.
            out: buffer of that shape, float32, for the result; None: a new one.

        Returns:
            (T, H, W) float32; read noise makes some values negative.
        """
        out = np.empty(raw.shape, np.float32) if out is None else out
        np.copyto(out, raw, casting="unsafe")
        out -= self.offset_adu
        out /= self._adu_per_photon
        self.bad_pixels.interpolate(out)
        return out

    def of_field(self, roi_yx: tuple[int, int], shape: tuple[int, int], binning: int) -> CameraCalibration:
        """Return the calibration of a field of the same sensor.

        Args:
            roi_yx: first row and column of the field on the sensor, in the pixels of its frames.
            shape: (H, W) of its frames.
            binning: of its frames.

        Raises:
            InputError: the field was not calibrated, or with another binning.
        """
        if self.shape == (1, 1):
            return self._uniform(shape)
        if binning != self.binning:
            raise InputError(
                f"was calibrated with a binning of {self.binning}, the frames have {binning}",
                where=f"camera calibration {self.name}",
                hint="calibrate the camera with the binning that you record with",
            )
        top, left = roi_yx[0] - self.roi_yx[0], roi_yx[1] - self.roi_yx[1]
        (height, width), (rows, columns) = shape, self.shape
        if top < 0 or left < 0 or top + height > rows or left + width > columns:
            raise InputError(
                f"covers {rows} x {columns} pixels from row {self.roi_yx[0]}, column {self.roi_yx[1]} of the sensor, "
                f"the frames {height} x {width} from {roi_yx[0]}, {roi_yx[1]}",
                where=f"camera calibration {self.name}",
                hint="calibrate the full sensor, or the region that you record",
            )
        part = slice(top, top + height), slice(left, left + width)
        return replace(self._of_maps(*(each[part] for each in self._maps)), roi_yx=roi_yx)

    @property
    def _maps(self) -> tuple[Array, Array, Array, Array]:
        return self.offset_adu, self.gain_adu_per_electron, self.read_noise_electrons, self.bad

    def _of_maps(self, offset: Array, gain: Array, noise: Array, bad: Array) -> CameraCalibration:
        return replace(self, offset_adu=offset, gain_adu_per_electron=gain, read_noise_electrons=noise, bad=bad)

    def _uniform(self, shape: tuple[int, int]) -> CameraCalibration:
        """Return the calibration of a field of which all pixels are alike."""
        return self._of_maps(*(np.full(shape, each[0, 0]) for each in self._maps))
