"""Camera calibration, ADU <-> photons: y = (raw - offset) / gain.

Offset and gain are estimated from the frames where they were not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfstorm.frames import Array

# Fourth differences along both axes respond at the camera's Nyquist frequency, where a microscope's PSF passes
# almost nothing: the signal left there is the camera's own noise.
NOISE_FILTER = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
MIN_CONTRAST = 1.15
MAX_FRAMES = 200
ASSUMED = "assumed: too little contrast to tell"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera's response.

    Attributes:
        offset_adu: level of a dark pixel.
        gain_adu_per_electron: ADU per detected photon, > 0.
        origin: where the values come from, for the user.
    """

    offset_adu: float
    gain_adu_per_electron: float
    origin: str = "set, not learned"

    def photons(self, raw: Array, out: Array | None = None) -> Array:
        """Convert raw frames to photons.

        Args:
            raw: (..., H, W) ADU.
            out: buffer of that shape, float32, for the result; None: a new one.

        Returns:
            (..., H, W) float32; read noise makes some values negative.
        """
        out = np.empty(raw.shape, np.float32) if out is None else out
        np.copyto(out, raw, casting="unsafe")
        out -= np.float32(self.offset_adu)
        out /= np.float32(self.gain_adu_per_electron)
        return out

    def __str__(self) -> str:
        return f"offset {self.offset_adu:.4g} ADU, gain {self.gain_adu_per_electron:.3g} ADU/photon ({self.origin})"


def calibrate(frames: Array, offset_adu: float | None = None, gain_adu_per_electron: float | None = None) -> Camera:
    """Return the camera of a movie; estimate whatever is not given.

    The noise variance at the Nyquist frequency is a line over the mean signal: its slope is the gain, its zero the
    offset (photon transfer). Where the field has too little contrast for a line, missing values are assumed such that
    the noise of the median pixel is that of its photons.

    Args:
        frames: (T, H, W) ADU.
        offset_adu: level of a dark pixel, if known.
        gain_adu_per_electron: ADU per photon, if known.

    Reference:
        Janesick, Photon Transfer, SPIE Press (2007).
    """
    if offset_adu is not None and gain_adu_per_electron is not None:
        return Camera(offset_adu, gain_adu_per_electron)
    frames = frames[:MAX_FRAMES].astype(np.float32)
    darkest = float(np.quantile(frames.mean(0), 0.01))
    line = _photon_transfer(frames, offset_adu)
    if line is None:
        return _as_noisy_as_measured(frames, darkest, offset_adu, gain_adu_per_electron)
    slope, zero = line
    gain = slope if gain_adu_per_electron is None else gain_adu_per_electron
    # The line's zero lies below the true offset by the read noise; an offset above the darkest level cannot be.
    offset = float(np.clip(zero, 0.0, darkest)) if offset_adu is None else offset_adu
    return Camera(offset, gain, "estimated from the frames")


def _as_noisy_as_measured(frames: Array, darkest: float, offset_adu: float | None, gain: float | None) -> Camera:
    """Return a camera whose measured noise is shot noise.

    level - offset = variance / gain. Any other one over- or underestimates the noise: at a gain of 1 and with the
    darkest level as the offset, read noise becomes thousands of emitters.
    """
    level, variance = float(np.median(frames.mean(0))), _temporal_variance(frames)
    if gain is None:
        gain = 1.0 if offset_adu is None else max(variance, 1.0) / max(level - offset_adu, 1.0)
    offset = level - variance / gain if offset_adu is None else offset_adu
    return Camera(min(offset, darkest), gain, ASSUMED)


def _temporal_variance(frames: Array) -> float:
    """Measure the noise variance of the median pixel, in ADU^2.

    From frame to frame and at the Nyquist frequency, which emitters do not reach.
    """
    changing = frames - frames.mean(0)
    power = float((NOISE_FILTER**2).sum() ** 2)
    if min(frames.shape[1:]) < len(NOISE_FILTER):
        filtered, power = changing, 1.0
    else:
        filtered = _at_nyquist(changing)
    return float(np.median((filtered**2).sum(0))) / power / max(len(frames) - 1, 1)


def _at_nyquist(frames: Array) -> Array:
    """Filter frames (T, H, W) by NOISE_FILTER along both axes.

    Returns:
        (T, H - 4, W - 4).
    """
    _, height, width = frames.shape
    rows = sum(w * frames[:, i : height - 4 + i] for i, w in enumerate(NOISE_FILTER))
    return np.asarray(sum(w * rows[:, :, i : width - 4 + i] for i, w in enumerate(NOISE_FILTER)))


def mean_variance(frames: Array) -> tuple[Array, Array] | None:
    """Measure noise variance over mean signal, in bins of pixels alike.

    Args:
        frames: (T, H, W) float32 ADU.

    Returns:
        (20,) ADU and ADU^2, of the darkest pixels first; None where pixels or frames are too few.
    """
    _, height, width = frames.shape
    if min(height, width) < 2 * len(NOISE_FILTER) or len(frames) < 4:
        return None
    variance = (_at_nyquist(frames) ** 2).mean(0).ravel() / float((NOISE_FILTER**2).sum() ** 2)
    level = frames.mean(0)[2:-2, 2:-2].ravel()
    order = np.argsort(level)
    bins = [b for b in np.array_split(order, 20) if len(b) >= 8]
    if len(bins) < 5:
        return None
    return np.array([level[b].mean() for b in bins]), np.array([variance[b].mean() for b in bins])


def _photon_transfer(frames: Array, offset_adu: float | None) -> tuple[float, float] | None:
    """Fit noise variance over mean signal.

    Returns:
        Slope and zero of the line, None if the frames show none.
    """
    if (measured := mean_variance(frames)) is None:
        return None
    x, y = measured
    zero_level = x[0] if offset_adu is None else offset_adu
    if x[-1] - x[0] <= 0.02 * abs(x[0] - zero_level) or y[0] <= 0 or y[-1] < MIN_CONTRAST * y[0]:
        return None
    # A variance's own error grows with it, so weight relative errors alike.
    if offset_adu is not None:
        slope = float(np.median(y / np.maximum(x - offset_adu, 1e-6)))
        return (slope, offset_adu) if slope > 0 else None
    slope, intercept = np.polyfit(x, y, 1, w=1 / y)
    return (float(slope), float(-intercept / slope)) if slope > 0 else None
