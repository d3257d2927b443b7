"""Simulated camera: photons to counts, with the properties of each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.physics.em_gain import excess_noise_of
from selfstorm.simulation.scene import RandomStream, Scene, generator

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint16]
NOISY_FACTOR = 30.0  # read noise of noisy pixels over that of others
HOT_ELECTRONS = 2_000.0  # mean dark electrons of hot pixels in a frame


@dataclass(frozen=True, slots=True)
class CameraMaps:
    """Properties of each pixel: (H, W) float64, read-only.

    Attributes:
        offset_adu: offset.
        gain_adu_per_electron: gain, without that of an EM register.
        read_noise_electrons: standard deviation of the read noise.
        sensitivity: electrons per photon: 1, of dead pixels 0.
        dark_electrons: mean electrons of a frame without light: 0 but for hot pixels.
    """

    offset_adu: Floats
    gain_adu_per_electron: Floats
    read_noise_electrons: Floats
    sensitivity: Floats
    dark_electrons: Floats

    @classmethod
    def of(cls, scene: Scene) -> CameraMaps:
        """Draw an sCMOS camera: normal offsets and gains, log-normal read noise."""
        rng = generator(scene.seed, RandomStream.CAMERA)
        offset, gain, noise = rng.standard_normal((3, *scene.shape))
        dead, hot, noisy = _defects(scene)
        read_noise = scene.read_noise_electrons * np.exp(scene.read_noise_variation * noise)
        return cls(
            _read_only(scene.offset_adu + scene.offset_variation_adu * offset),
            _read_only(scene.gain_adu_per_electron * np.maximum(1 + scene.gain_variation * gain, 0.1)),
            _read_only(np.where(noisy, NOISY_FACTOR * read_noise, read_noise)),
            _read_only(np.where(dead, 0.0, 1.0)),
            _read_only(np.where(hot, HOT_ELECTRONS, 0.0)),
        )

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Pixels that are dead or hot, (H, W)."""
        return np.asarray((self.sensitivity == 0) | (self.dark_electrons > 0))


class ReadOut:
    """The camera of a scene.

    Attributes:
        maps: properties of its pixels.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene, self.maps = scene, CameraMaps.of(scene)

    def read_out(self, photons: Floats, rng: np.random.Generator) -> Pixels:
        """Apply shot noise, gain, read noise, offset, rounding and saturation.

        Args:
            photons: (H, W) expected.
            rng: random numbers of the frame.

        Returns:
            (H, W) uint16 ADU, read-only.
        """
        scene, maps = self._scene, self.maps
        electrons = rng.poisson(photons).astype(np.float64)
        if scene.em_gain > 1:
            electrons = multiplied(electrons, scene.em_gain, rng)
        electrons += maps.read_noise_electrons * rng.standard_normal(scene.shape, dtype=np.float32)
        if scene.bad_pixel_share:  # last, so that good pixels show what they show without bad ones
            electrons = np.where(maps.sensitivity > 0, electrons, 0.0) + rng.poisson(maps.dark_electrons)
        adu = np.rint(maps.offset_adu + maps.gain_adu_per_electron * electrons)
        pixels = np.clip(adu, 0, scene.saturation_adu).astype(np.uint16)
        pixels.flags.writeable = False
        return pixels

    def even_frames(self, frames: int, photons: float = 0.0) -> Iterator[Pixels]:
        """Yield frames of even light without a sample, dark by default.

        Args:
            frames: their number.
            photons: mean of each pixel.
        """
        light = np.full(self._scene.shape, photons)
        first = round(photons) * frames  # other noise at every level
        for number in range(first, first + frames):
            yield self.read_out(light, generator(self._scene.seed, RandomStream.CALIBRATION, number))


def multiplied(electrons: Floats, em_gain: float, rng: np.random.Generator) -> Floats:
    """Multiply electrons in an EM register.

    The output of n electrons follows a gamma distribution with the mean n M and the variance of the register's excess
    noise, n M^2 (F^2 - 1).

    Args:
        electrons: (H, W) before the register.
        em_gain: M > 1.
        rng: random numbers.
    """
    excess = excess_noise_of(em_gain) - 1
    return np.asarray(rng.standard_gamma(electrons / excess) * (em_gain * excess))


def _defects(scene: Scene) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw dead, hot and noisy pixels, (H, W) each."""
    drawn = generator(scene.seed, RandomStream.BAD_PIXELS).random(scene.shape) / max(scene.bad_pixel_share, 1e-12)
    dead, hot, noisy = (((3 * drawn) >= kind) & (3 * drawn < kind + 1) for kind in range(3))
    return dead, hot, noisy


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
