"""Live-cell movies with ground truth.

Filaments or rulers -> blinking dyes -> photons on the camera -> counts.
Frame k of a scene is always the same, whichever frames were made before it. `structures.py` and `rulers.py`
have the positions of the dyes, `blinking.py` those that are on, `spots.py` their image, `camera.py` the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfstorm.errors import InputError
from selfstorm.simulation.blinking import Blinking, activation_rate
from selfstorm.simulation.camera import CameraMaps, Floats, Pixels, ReadOut
from selfstorm.simulation.rulers import Rulers
from selfstorm.simulation.scene import RandomStream, Scene, generator
from selfstorm.simulation.spots import AiryPsf, GaussianPsf, SeparablePsf, place
from selfstorm.simulation.structures import Filaments, Structure

__all__ = [
    "EMITTER_COLUMNS",
    "AiryPsf",
    "CameraMaps",
    "GaussianPsf",
    "Movie",
    "Scene",
    "SeparablePsf",
    "place",
    "simulate",
]

EMITTER_COLUMNS = ("frame", "y_nm", "x_nm", "photons")
_MARGIN_NM = 200.0  # beyond the radius of the PSF
_MAX_ON_SHARE = 0.5  # of the dyes in a frame
_SAMPLED_SITES = 1_000_000


class Movie:
    """An endless movie of a scene, made one frame at a time in bounded memory.

    Attributes:
        camera: the pixel maps.
        background_photons: (H, W) at the start.
        structure: positions of the dyes; a frame shows those in the middle of its exposure, at frame + 0.5.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.psf = scene.psf()
        self.structure = _structure(scene, self.psf.radius_nm + scene.pixel_nm + _MARGIN_NM)
        self._camera = ReadOut(scene)
        self.camera = self._camera.maps
        self.background_photons = _background(scene)
        self._blinking = Blinking(scene, self.structure.sites, self._activation_rate())
        self._out_of_focus = Movie(scene.out_of_focus()) if scene.haze_density else None

    def frames(self, start_frame: int = 0) -> Iterator[tuple[Pixels, Floats]]:
        """Yield camera frames and their emitters from start_frame on, without end.

        Yields:
            Pixels (H, W) uint16 ADU, read-only; and emitters (N, 4) float64, read-only, with EMITTER_COLUMNS: those
            inside the field. Emitters around it contribute light to the frames and are not listed.
        """
        _check_start(start_frame)
        both = zip(self._sources(start_frame), self.out_of_focus_photons(start_frame), strict=False)
        return ((self._expose(frame, *lit, blurred), self._listed(frame, *lit)) for (frame, lit), blurred in both)

    def emitters(self, start_frame: int = 0) -> Iterator[Floats]:
        """Yield the emitters of frames() without the pixels, which is much faster."""
        _check_start(start_frame)
        return (self._listed(frame, *lit) for frame, lit in self._sources(start_frame))

    def emitters_moved_to(self, frame: int, start_frame: int, frames: int) -> Floats:
        """Return emitters of some frames, where their dyes are in another.

        A picture of how the sample lies in that frame is compared with them.

        Args:
            frame: number of the frame whose positions are given.
            start_frame: first of the frames whose emitters are given.
            frames: number of them.

        Returns:
            (N, 4) float64 rows of EMITTER_COLUMNS, the frame that in which the emitter was on; those that lie inside
            the field then.
        """
        _check_start(start_frame)
        tables = []
        for number, (sites, photons) in zip(
            range(start_frame, start_frame + frames), self._blinking.frames(start_frame), strict=False
        ):
            where = self.structure.positions_nm(sites, frame + 0.5)
            tables.append(self._listed(number, where, photons * self.illumination(number)))
        return _read_only(np.concatenate([np.empty((0, len(EMITTER_COLUMNS))), *tables]))

    def illumination(self, frame: int) -> float:
        """Draw the illumination of a frame: mean 1, relative sd scene.flicker."""
        deviation = float(generator(self.scene.seed, RandomStream.LIGHT, frame).normal())
        return max(0.0, 1 + self.scene.flicker * deviation)

    def expected(self, frame: int, yx_nm: Floats, photons: Floats) -> Floats:
        """Compute the expected photons (H, W) of emitters and background.

        Args:
            frame: number.
            yx_nm: (N, 2) positions of emitters.
            photons: (N,) of each.
        """
        half_life = self.scene.bleaching_half_life_frames
        faded = 1.0 if half_life is None else 0.5 ** (frame / half_life)
        return self.spots(yx_nm, photons) + self.background_photons * (faded * self.illumination(frame))

    def _sources(self, start_frame: int) -> Iterator[tuple[int, tuple[Floats, Floats]]]:
        """Yield frame, positions (N, 2) in nm and photons (N,) of all emitters."""
        for frame, (sites, photons) in zip(count(start_frame), self._blinking.frames(start_frame), strict=False):
            yield frame, (self.structure.positions_nm(sites, frame + 0.5), photons * self.illumination(frame))

    def out_of_focus_photons(self, start_frame: int) -> Iterator[Floats | float]:
        """Yield the photons (H, W) of emitters far out of focus."""
        if self._out_of_focus is None:
            yield from repeat(0.0)
        else:
            for frame, (yx_nm, photons) in self._out_of_focus._sources(start_frame):
                yield self._out_of_focus.spots(yx_nm, photons * self.illumination(frame))

    def spots(self, yx_nm: Floats, photons: Floats) -> Floats:
        """Compute the expected photons (H, W) of emitters alone."""
        scene = self.scene
        return place(yx_nm[:, 0], yx_nm[:, 1], photons, scene.shape, psf=self.psf, pixel_nm=scene.pixel_nm)

    def _listed(self, frame: int, yx_nm: Floats, photons: Floats) -> Floats:
        inside = _inside(yx_nm, self.scene.field_nm)
        table = np.column_stack([np.full(int(inside.sum()), float(frame)), yx_nm[inside], photons[inside]])
        return _read_only(table)

    def _expose(self, frame: int, yx_nm: Floats, photons: Floats, blurred: Floats | float) -> Pixels:
        """Expose a frame to the light of emitters, background and blur."""
        rng = generator(self.scene.seed, RandomStream.NOISE, frame)
        return self._camera.read_out(self.expected(frame, yx_nm, photons) + blurred, rng)

    def _activation_rate(self) -> float:
        """Solve for the activations per frame and dye at the scene's density."""
        sampled = np.linspace(0, self.structure.sites - 1, min(self.structure.sites, _SAMPLED_SITES)).astype(np.intp)
        inside = _inside(self.structure.positions_nm(sampled, 0.5), self.scene.field_nm)
        sites_inside = self.structure.sites * float(inside.mean())
        emitters = self.scene.density * self.scene.field_nm[0] * self.scene.field_nm[1] * 1e-6
        if emitters > _MAX_ON_SHARE * sites_inside:
            raise InputError(
                f"{emitters:.0f} emitters a frame are more than {sites_inside:.0f} dyes in the field can show",
                where="density",
                hint="give a lower density, more filaments or a smaller site_spacing_nm",
            )
        return activation_rate(emitters / sites_inside, self.scene.on_frames) if emitters else 0.0


def simulate(scene: Scene, *, start_frame: int = 0, frames: int | None = None) -> Iterator[tuple[Pixels, Floats]]:
    """Simulate a movie of a scene.

    Args:
        scene: the cell, the microscope and the camera.
        start_frame: first frame, from 0.
        frames: their number; None: without end.

    Yields:
        Pixels and emitters of each frame, as Movie.frames().

    Raises:
        InputError: a negative number, or more emitters than dyes.
    """
    if frames is not None and frames < 0:
        raise InputError(f"{frames} frames", where="frames", hint="give 0 or more")
    return islice(Movie(scene).frames(start_frame), frames)


def _check_start(start_frame: int) -> None:
    if not 0 <= start_frame < 2**53:
        raise InputError(f"{start_frame} is not a frame number", where="start_frame", hint="give a frame number from 0")


def _structure(scene: Scene, margin_nm: float) -> Structure:
    return Filaments(scene, margin_nm) if scene.structure == "filaments" else Rulers(scene, margin_nm)


def _inside(yx_nm: Floats, field_nm: tuple[float, float]) -> NDArray[np.bool_]:
    within = (yx_nm >= 0) & (yx_nm < field_nm)
    return np.asarray(within[:, 0] & within[:, 1])


def _background(scene: Scene) -> Floats:
    """Draw a background (H, W): a gradient and one brighter blob."""
    rng = generator(scene.seed, RandomStream.LIGHT)
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
