"""Photon transfer: a camera's maps from dark frames and even light.

Of light, the variance of a pixel in ADU^2 rises over its mean in ADU with a slope that is its gain, times the excess
noise factor where electrons are multiplied. The dark frames are the zero of both: offset and read noise.

Reference:
    Janesick, Photon Transfer, SPIE Press (2007); Huang et al., Nature Methods 10, 653 (2013), for maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter
from scipy.optimize import brentq

from selfstorm.calibration.pixel_moments import PixelMoments
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.camera_maps import CameraCalibration
from selfstorm.physics.em_gain import excess_noise_of

HOT_Z = 12.0  # robust standard deviations of the dark level
HOT_NOISES = 5.0  # read noises of the median pixel: of a very even camera, less is no defect
MAX_NOISES = 8.0  # read noise of a pixel over that of the median one
RESPONSE = (0.5, 2.0)  # of a pixel, over those around it
GAIN_Z = 8.0  # standard errors of a pixel's gain from the median, beyond the camera's own spread
NEIGHBOURHOOD_PX = 7
MIN_SLOPE_SHARE = 0.7  # of the variance that lower levels predict: a converter that clips shows less
MIN_SIGNAL_NOISES = 0.2  # of a level's light over the read noise
MAX_EM_GAIN = 10_000.0


@dataclass(frozen=True, eq=False)
class TransferLevel:
    """One level of light on the photon transfer line.

    Attributes:
        signal_adu: median over the pixels, offset subtracted.
        variance_adu2: median, read noise subtracted.
        deviation: of the variance from the line, relative.
        clipped: the camera saturates; the level is on no line.
        frames: of its stack.
    """

    signal_adu: float
    variance_adu2: float
    deviation: float
    clipped: bool
    frames: int


@dataclass(frozen=True, eq=False)
class PhotonTransfer:
    """Result of a calibration.

    Attributes:
        calibration: the maps.
        levels: each level of light, the darkest first.
        gain_error: relative standard error of the median gain.
        pixel_gain_error: relative standard error of one pixel's gain, as measured; the map's is smaller.
        gain_spread: relative standard deviation of the gain over the pixels, beyond that error.
        dead: number of pixels without response.
        hot: number of pixels bright in the dark.
        noisy: number of pixels whose noise is far above that of others.
        read_noise_adu: of the median pixel.
        pixels: (N, 2) some pixels' (signal, variance) of all levels, for a plot.
    """

    calibration: CameraCalibration
    levels: tuple[TransferLevel, ...]
    gain_error: float
    pixel_gain_error: float
    gain_spread: float
    dead: int
    hot: int
    noisy: int
    read_noise_adu: float
    pixels: Array

    @property
    def median_gain(self) -> float:
        """Gain of the median good pixel, ADU per electron."""
        return float(np.median(self.calibration.gain_adu_per_electron[~self.calibration.bad]))

    @property
    def nonlinearity(self) -> float:
        """Largest relative deviation of a level that is not clipped."""
        return max(abs(level.deviation) for level in self.levels if not level.clipped)


@dataclass(frozen=True, slots=True)
class EmRegister:
    """EM gain of a camera and its excess noise factor."""

    em_gain: float = 1.0
    excess_noise: float = 1.0

    @classmethod
    def given(cls, em_gain: float) -> EmRegister:
        """Return a register of a known gain."""
        return cls(em_gain, excess_noise_of(em_gain))

    @classmethod
    def of_slopes(cls, multiplied: float, plain: float) -> EmRegister:
        """Find the gain from photon transfer with and without it.

        The slopes' ratio is F^2(M) M, which rises with the gain M.

        Raises:
            InputError: the ratio is none of an EM gain.
        """
        ratio = multiplied / plain
        if not 1 <= ratio < MAX_EM_GAIN:
            raise InputError(
                f"the stacks with EM gain have a slope of {multiplied:.4g} ADU, those without {plain:.4g}",
                where="--em-off",
                hint="give stacks of the same camera and readout, without EM gain",
            )
        return cls.given(float(brentq(lambda m: excess_noise_of(m) * m - ratio, 1.0, MAX_EM_GAIN)))


def photon_transfer(
    dark: PixelMoments,
    lights: Sequence[PixelMoments],
    name: str,
    em: EmRegister | None = None,
    roi_yx: tuple[int, int] = (0, 0),
    binning: int = 1,
) -> PhotonTransfer:
    """Calibrate a camera.

    Args:
        dark: statistics of frames without light.
        lights: statistics of levels of light, in any order.
        name: serial number or label of the camera.
        em: EM gain; None without.
        roi_yx: first row and column of the frames on the sensor.
        binning: of the frames.

    Raises:
        InputError: the levels show no line.
    """
    em = em or EmRegister()
    offset, read_variance = dark.mean, np.maximum(dark.variance, 0.0)
    lights = sorted(lights, key=lambda level: float(np.median(level.mean)))
    hot, noisy = _hot(offset, read_variance), _noisy(read_variance)
    fair = ~(hot | noisy)
    signals = np.stack([level.mean - offset for level in lights])
    variances = np.stack([level.noise(offset) for level in lights]) - read_variance
    medians = np.array([(np.median(s[fair]), np.median(v[fair])) for s, v in zip(signals, variances, strict=True)])
    noise = float(np.sqrt(np.median(read_variance[fair])))
    if medians[-1, 0] <= MIN_SIGNAL_NOISES * noise or medians[-1, 1] <= 0:
        raise InputError(
            f"the brightest stack is {medians[-1, 0]:.3g} ADU brighter than the dark one, its variance "
            f"{medians[-1, 1]:.3g} ADU^2 larger",
            hint="give LIGHT stacks of even light, brighter than DARK",
        )
    clipped = _clipped(medians)
    frames = np.array([level.frames for level in lights])
    used = ~clipped
    slopes, errors = _slopes(signals[used], variances[used], medians[used], frames[used], read_variance, fair)
    response = _response(signals[used].sum(0))
    slope = float(np.median(slopes[fair]))
    spread = _spread(slopes[fair] / slope, errors[fair] / slope)
    outside = np.abs(slopes - slope) > GAIN_Z * np.hypot(errors, spread * slope)
    dead = ((response < RESPONSE[0]) | (response > RESPONSE[1]) | outside) & fair
    good = fair & ~dead
    # A pixel's own slope is noisy: it counts as far as pixels differ by more than that.
    trust = (spread * slope) ** 2 / np.maximum((spread * slope) ** 2 + errors**2, 1e-30)
    gain = np.where(good, slope + trust * (slopes - slope), slope) / em.excess_noise
    calibration = CameraCalibration(
        name,
        offset.astype(np.float32),
        gain.astype(np.float32),
        (np.sqrt(read_variance) / gain).astype(np.float32),
        ~good,
        em.em_gain,
        em.excess_noise,
        roi_yx,
        binning,
    )
    levels = tuple(
        TransferLevel(float(s), float(v), float(v / (slope * s) - 1), bool(c), int(t))
        for (s, v), c, t in zip(medians, clipped, frames, strict=True)
    )
    pixel_error = float(np.median(errors[good])) / slope
    return PhotonTransfer(
        calibration,
        levels,
        gain_error=pixel_error / float(np.sqrt(good.sum())),
        pixel_gain_error=pixel_error,
        gain_spread=spread,
        dead=int(dead.sum()),
        hot=int(hot.sum()),
        noisy=int((noisy & ~hot).sum()),
        read_noise_adu=noise,
        pixels=_some(signals, variances, good),
    )


def _hot(offset: Array, read_variance: Array) -> Array:
    """Find pixels that are bright, or much too dark, without light."""
    middle = float(np.median(offset))
    spread = 1.48 * float(np.median(np.abs(offset - middle)))
    noise = float(np.sqrt(np.median(read_variance)))
    return np.asarray(np.abs(offset - middle) > np.maximum(HOT_Z * spread, HOT_NOISES * noise))


def _noisy(read_variance: Array) -> Array:
    """Find pixels whose read noise is far above that of others, or none."""
    return np.asarray(read_variance > MAX_NOISES**2 * float(np.median(read_variance)))


def _clipped(medians: Array) -> Array:
    """Find levels whose variance lies below the line of the levels before.

    Args:
        medians: (K, 2) signal and variance, rising.
    """
    clipped, slope = np.zeros(len(medians), bool), 0.0
    for number, (signal, variance) in enumerate(medians):
        clipped[number] = variance < MIN_SLOPE_SHARE * slope * signal
        if not clipped[number]:
            slope = max(variance, 0.0) / max(signal, 1e-9)
    return clipped


def _slopes(
    signals: Array, variances: Array, medians: Array, frames: Array, read_variance: Array, fair: Array
) -> tuple[Array, Array]:
    """Fit each pixel's variance over its signal, through the dark.

    The weights come from the line of the median pixel, not from each pixel's own variance, whose noise would bias them.

    Returns:
        (H, W) slopes and their standard errors, ADU.
    """
    line = float((medians.prod(1)).sum() / (medians[:, 0] ** 2).sum())
    read = float(np.median(read_variance[fair]))
    weights = (frames - 1) / (2 * (line * medians[:, 0] + read) ** 2)
    power = np.einsum("k,kyx->yx", weights, signals**2)
    slopes = np.einsum("k,kyx,kyx->yx", weights, signals, variances) / np.maximum(power, 1e-30)
    return slopes, 1 / np.sqrt(np.maximum(power, 1e-30))


def _response(signal: Array) -> Array:
    """Return the light that a pixel shows, over that of those around it."""
    around = median_filter(signal, NEIGHBOURHOOD_PX, mode="mirror")
    return np.asarray(signal / np.maximum(around, 1e-9))


def _spread(values: Array, errors: Array) -> float:
    """Measure the standard deviation of values beyond their errors."""
    robust = 1.48 * float(np.median(np.abs(values - np.median(values))))
    return float(np.sqrt(max(robust**2 - float(np.median(errors)) ** 2, 0.0)))


def _some(signals: Array, variances: Array, good: Array, count: int = 2000) -> Array:
    """Return (signal, variance) of some good pixels at every level."""
    chosen = np.flatnonzero(good)
    chosen = chosen[:: max(1, len(chosen) // count)]
    flat = (each.reshape(len(each), -1)[:, chosen].ravel() for each in (signals, variances))
    return np.column_stack(list(flat))
