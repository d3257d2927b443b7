"""Live-cell movies with ground truth: filaments -> blinking dyes -> photons on the camera -> counts.

Frame k of a scene is always the same, whichever frames were made before it. `structures.py` says where the
dyes are, `blinking.py` which shine, `spots.py` what the camera sees of them; here is the camera and the order
of things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.simulation.blinking import Blinking, activation_rate
from selfstorm.simulation.scene import Scene, Stream, generator
from selfstorm.simulation.spots import AiryPsf, GaussianPsf, Psf, place
from selfstorm.simulation.structures import Filaments

__all__ = [
    "EMITTER_COLUMNS",
    "AiryPsf",
    "CameraMaps",
    "GaussianPsf",
    "Movie",
    "Psf",
    "Scene",
    "place",
    "simulate",
]

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint16]
EMITTER_COLUMNS = ("frame", "y_nm", "x_nm", "photons")
_MARGIN_NM = 200.0  # beyond the reach of the PSF
_MOST_SEEN = 0.5  # of the dyes may shine in a frame
_SAMPLED_SITES = 1_000_000


@dataclass(frozen=True, slots=True)
class CameraMaps:
    """What each pixel adds: (H, W) float64, read-only."""

    offset_adu: Floats
    gain_adu_per_electron: Floats
    read_noise_electrons: Floats


class Movie:
    """An endless movie of a scene, made a frame at a time in bounded memory.

    camera: the maps behind the pixels. background_photons: (H, W) at the start. filaments: where every dye
    is. Positions are those in the middle of the exposure, at frame + 0.5.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.psf = scene.psf()
        self.filaments = Filaments(scene, self.psf.radius_nm + scene.pixel_nm + _MARGIN_NM)
        self.camera = _camera_maps(scene)
        self.background_photons = _background(scene)
        self._blinking = Blinking(scene, self.filaments.sites, self._activation_rate())
        self._haze = Movie(scene.haze()) if scene.haze_density else None

    def frames(self, start_frame: int = 0) -> Iterator[tuple[Pixels, Floats]]:
        """Camera frames and their emitters, from start_frame on, without end.

        Yields pixels (H, W) uint16 ADU, read-only, and emitters (N, 4) float64, read-only: EMITTER_COLUMNS,
        of the emitters inside the field. Those around it shine into the frames and are not listed.
        """
        _check_start(start_frame)
        both = zip(self._sources(start_frame), self._haze_photons(start_frame), strict=False)
        return ((self._expose(frame, *seen, haze), self._listed(frame, *seen)) for (frame, seen), haze in both)

    def emitters(self, start_frame: int = 0) -> Iterator[Floats]:
        """The emitters of frames() without the pixels: much faster."""
        _check_start(start_frame)
        return (self._listed(frame, *seen) for frame, seen in self._sources(start_frame))

    def light(self, frame: int) -> float:
        """Illumination of a frame: mean 1, relative sd scene.flicker."""
        return max(0.0, 1 + self.scene.flicker * float(generator(self.scene.seed, Stream.LIGHT, frame).normal()))

    def expected(self, frame: int, yx_nm: Floats, photons: Floats) -> Floats:
        """(H, W) photons that the camera expects of emitters and background in a frame."""
        half_life = self.scene.bleaching_half_life_frames
        faded = 1.0 if half_life is None else 0.5 ** (frame / half_life)
        return self.spots(yx_nm, photons) + self.background_photons * (faded * self.light(frame))

    def _sources(self, start_frame: int) -> Iterator[tuple[int, tuple[Floats, Floats]]]:
        """Frame, positions (N, 2) nm and photons (N,) of all that shines, in the field and around it."""
        for frame, (sites, photons) in zip(count(start_frame), self._blinking.frames(start_frame), strict=False):
            yield frame, (self.filaments.positions_nm(sites, frame + 0.5), photons * self.light(frame))

    def _haze_photons(self, start_frame: int) -> Iterator[Floats | float]:
        """What the emitters far out of focus add to each frame, (H, W) photons."""
        if self._haze is None:
            yield from repeat(0.0)
        else:
            for frame, (yx_nm, photons) in self._haze._sources(start_frame):
                yield self._haze.spots(yx_nm, photons * self.light(frame))

    def spots(self, yx_nm: Floats, photons: Floats) -> Floats:
        """(H, W) photons that the camera expects of emitters alone."""
        scene = self.scene
        return place(yx_nm[:, 0], yx_nm[:, 1], photons, scene.shape, psf=self.psf, pixel_nm=scene.pixel_nm)

    def _listed(self, frame: int, yx_nm: Floats, photons: Floats) -> Floats:
        inside = _inside(yx_nm, self.scene.field_nm)
        table = np.column_stack([np.full(int(inside.sum()), float(frame)), yx_nm[inside], photons[inside]])
        return _read_only(table)

    def _expose(self, frame: int, yx_nm: Floats, photons: Floats, haze: Floats | float) -> Pixels:
        """Shot noise, read noise, gain, offset, rounding and saturation."""
        rng = generator(self.scene.seed, Stream.NOISE, frame)
        electrons = rng.poisson(self.expected(frame, yx_nm, photons) + haze).astype(np.float64)
        electrons += self.camera.read_noise_electrons * rng.standard_normal(self.scene.shape, dtype=np.float32)
        adu = np.rint(self.camera.offset_adu + self.camera.gain_adu_per_electron * electrons)
        pixels = np.clip(adu, 0, self.scene.saturation_adu).astype(np.uint16)
        pixels.flags.writeable = False
        return pixels

    def _activation_rate(self) -> float:
        """Activations per frame and dye that give the scene's density in the field at the start."""
        sampled = np.linspace(0, self.filaments.sites - 1, min(self.filaments.sites, _SAMPLED_SITES)).astype(np.intp)
        inside = _inside(self.filaments.positions_nm(sampled, 0.5), self.scene.field_nm)
        sites_inside = self.filaments.sites * float(inside.mean())
        emitters = self.scene.density * self.scene.field_nm[0] * self.scene.field_nm[1] * 1e-6
        if emitters > _MOST_SEEN * sites_inside:
            raise InputError(
                f"{emitters:.0f} emitters a frame are too many for {sites_inside:.0f} dyes in the field",
                where="density",
                hint="give a lower density, more filaments or a smaller site_spacing_nm",
            )
        return activation_rate(emitters / sites_inside, self.scene.on_frames) if emitters else 0.0


def simulate(scene: Scene, *, start_frame: int = 0, frames: int | None = None) -> Iterator[tuple[Pixels, Floats]]:
    """A movie as Movie.frames yields it: `frames` many, or without end.

    Raises InputError for a scene or number that cannot be.
    """
    if frames is not None and frames < 0:
        raise InputError(f"{frames} frames", where="frames", hint="give 0 or more")
    return islice(Movie(scene).frames(start_frame), frames)


def _check_start(start_frame: int) -> None:
    if not 0 <= start_frame < 2**53:
        raise InputError(f"{start_frame} is no frame", where="start_frame", hint="give a frame number from 0")


def _inside(yx_nm: Floats, field_nm: tuple[float, float]) -> NDArray[np.bool_]:
    within = (yx_nm >= 0) & (yx_nm < field_nm)
    return np.asarray(within[:, 0] & within[:, 1])


def _camera_maps(scene: Scene) -> CameraMaps:
    """Pixels of an sCMOS camera: normal offsets and gains, log-normal read noise with its long tail."""
    rng = generator(scene.seed, Stream.CAMERA)
    offset, gain, noise = rng.standard_normal((3, *scene.shape))
    return CameraMaps(
        _read_only(scene.offset_adu + scene.offset_variation_adu * offset),
        _read_only(scene.gain_adu_per_electron * np.maximum(1 + scene.gain_variation * gain, 0.1)),
        _read_only(scene.read_noise_electrons * np.exp(scene.read_noise_variation * noise)),
    )


def _background(scene: Scene) -> Floats:
    """(H, W) smooth and uneven: a gradient and one brighter blob, with the mean asked for."""
    rng = generator(scene.seed, Stream.LIGHT)
    y = (np.arange(scene.height)[:, None] + 0.5) / scene.height
    x = (np.arange(scene.width)[None, :] + 0.5) / scene.width
    angle = rng.uniform(0, 2 * np.pi)
    blob_y, blob_x = rng.uniform(0.25, 0.75, 2)
    gradient = 0.4 * (np.sin(angle) * (y - 0.5) + np.cos(angle) * (x - 0.5))
    blob = 0.8 * np.exp(-((y - blob_y) ** 2 + (x - blob_x) ** 2) / (2 * 0.22**2))
    shape = 0.8 + gradient + blob
    return _read_only(scene.background_photons * shape / shape.mean())


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
