"""Scene of a simulated movie: its parameters and random numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal, get_args

import numpy as np

from selfstorm.errors import InputError
from selfstorm.frames import MAX_SIDE_PX
from selfstorm.simulation.spots import AberratedPsf, AiryPsf, GaussianPsf, SeparablePsf

PhotonSpread = Literal["exponential", "lognormal"]
Motion = Literal["bending", "turning", "pulsing", "pausing", "parting"]
StructureKind = Literal["filaments", "lines", "crossings", "rings"]
MAX_SITES = 50_000_000
_OUT_OF_FOCUS_SEED = 2**62  # far from the seeds that users choose


class RandomStream(IntEnum):
    """Independent random streams: draws from one leave the others unchanged."""

    STRUCTURE = 0
    BLINKING = 1
    BLEACHING = 2
    LIGHT = 3
    CAMERA = 4
    NOISE = 5
    BAD_PIXELS = 6
    CALIBRATION = 7


def check_sites(sites: int, where: str, hint: str) -> None:
    """Raise InputError for more fluorophores than memory holds.

    Args:
        sites: number of fluorophores.
        where: field of the scene that sets it.
        hint: change that makes it smaller.
    """
    if sites > MAX_SITES:
        raise InputError(f"{sites} fluorophores are more than the {MAX_SITES} allowed", where=where, hint=hint)


def generator(seed: int, stream: RandomStream, frame: int = 0) -> np.random.Generator:
    """Make the random numbers of one stream and frame (Philox).

    They do not depend on earlier draws.

    Args:
        seed: of the scene.
        stream: independent of the others.
        frame: number.
    """
    counter = np.array([0, 0, frame % 2**64, int(stream)], np.uint64)
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


# Smallest and largest value of each parameter, inclusive.
_WHOLE_RANGES: dict[str, tuple[int, int]] = {
    "height": (1, MAX_SIDE_PX),
    "width": (1, MAX_SIDE_PX),
    "filaments": (1, 100_000),
    "saturation_adu": (1, 65_535),
    "seed": (0, 2**63 - 1),
}
_RANGES: dict[str, tuple[float, float]] = {
    "pixel_nm": (1, 10_000),
    "psf_sigma_nm": (10, 5_000),
    "psf_sigma_x_nm": (10, 5_000),
    "psf_defocus_rad": (-3, 3),
    "psf_astigmatism_rad": (-3, 3),
    "psf_oblique_rad": (-3, 3),
    "psf_coma_rad": (-3, 3),
    "na": (0.05, 1.8),
    "wavelength_nm": (200, 2_000),
    "density": (0, 1_000),
    "photons": (1, 1e6),
    "photon_spread_relative": (0, 2),
    "on_frames": (0.05, 1_000),
    "ruler_nm": (10, 1_000),
    "thickness_nm": (0, 1_000),
    "site_spacing_nm": (0.5, 1_000),
    "speed_nm_per_frame": (0, 1_000),
    "background_photons": (0, 1e6),
    "bleaching_half_life_frames": (1, 1e12),
    "flicker": (0, 0.5),
    "haze_density": (0, 1_000),
    "haze_photons": (1, 1e6),
    "haze_blur_nm": (100, 5_000),
    "offset_adu": (0, 60_000),
    "offset_variation_adu": (0, 1_000),
    "gain_adu_per_electron": (0.01, 1_000),
    "gain_variation": (0, 0.2),
    "read_noise_electrons": (0, 1_000),
    "read_noise_variation": (0, 1.5),
    "bad_pixel_share": (0, 0.5),
    "em_gain": (1, 10_000),
}
_OPTIONAL = {"psf_sigma_x_nm", "na", "wavelength_nm", "bleaching_half_life_frames"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A live cell under a microscope with its camera.

    The PSF is a Gaussian; with na and wavelength_nm, that of a pupil with aberrations in radians root mean square.
    Photons are those detected: one photon, one electron.

    Attributes:
        height: rows of camera pixels.
        width: columns of camera pixels.
        pixel_nm: side of a camera pixel in the sample.
        psf_sigma_nm: standard deviation of a Gaussian PSF.
        psf_sigma_x_nm: standard deviation along x, if the Gaussian is elliptic.
        na: numerical aperture, for the PSF of a pupil.
        wavelength_nm: wavelength of the emitted light, for the PSF of a pupil.
        psf_defocus_rad: defocus, an aberration of the pupil.
        psf_astigmatism_rad: astigmatism, y against x.
        psf_oblique_rad: astigmatism along the diagonals.
        psf_coma_rad: coma along x.
        density: emitters per square micron per frame (rows of the truth), mean over the field at the start.
        photons: mean photons of an emitter that is on for a whole frame.
        photon_spread: distribution of photons over on-periods.
        photon_spread_relative: sd of their logarithm, for 'lognormal' alone.
        on_frames: mean length of an on-period.
        structure: 'filaments'; or rulers at rest: pairs of 'lines', 'crossings' of two lines, 'rings' of 8 dyes.
        ruler_nm: distance of a pair of lines, and of crossing ones at their ends; diameter of a ring.
        filaments: number of filaments.
        thickness_nm: diameter of the labelled tube.
        site_spacing_nm: labelled length per dye.
        speed_nm_per_frame: root-mean-square speed of bending filaments, mean speed of others.
        motion: of the filaments: 'bending' and gliding; 'turning' on circles; 'pulsing' from rest to twice the speed;
            'pausing', stop and go; 'parting', half of them one way and half the other.
        drift_nm_per_frame: (y, x) of the stage, without end: what leaves on one side returns on the other.
        background_photons: mean background per pixel and frame.
        bleaching_half_life_frames: half-life of the dyes; without it they never bleach.
        flicker: relative sd of the illumination from frame to frame.
        haze_density: density of blinking emitters far out of focus, on filaments of their own; they are not in the
            truth.
        haze_photons: photons of emitters far out of focus.
        haze_blur_nm: sigma of the spot of emitters far out of focus.
        offset_adu: mean offset of the camera.
        offset_variation_adu: sd of the offset over the pixels.
        gain_adu_per_electron: mean gain of the camera.
        gain_variation: relative sd of the gain over the pixels.
        read_noise_electrons: read noise of the median pixel.
        read_noise_variation: sd of the read noise's logarithm over the pixels.
        bad_pixel_share: share of the pixels that are dead, hot or noisy, a third each.
        em_gain: multiplication of the electrons before readout, with its excess noise; gain_adu_per_electron is
            without it.
        saturation_adu: largest count of a pixel.
        seed: seed of all random numbers.

    Raises:
        InputError: a value is out of range; it names the field.
    """

    height: int = 64
    width: int = 64
    pixel_nm: float = 100.0
    psf_sigma_nm: float = 110.0
    psf_sigma_x_nm: float | None = None
    na: float | None = None
    wavelength_nm: float | None = None
    psf_defocus_rad: float = 0.0
    psf_astigmatism_rad: float = 0.0
    psf_oblique_rad: float = 0.0
    psf_coma_rad: float = 0.0
    density: float = 2.0
    photons: float = 800.0
    photon_spread: PhotonSpread = "exponential"
    photon_spread_relative: float = 0.5
    on_frames: float = 2.5
    structure: StructureKind = "filaments"
    ruler_nm: float = 107.0
    filaments: int = 12
    thickness_nm: float = 25.0
    site_spacing_nm: float = 4.0
    speed_nm_per_frame: float = 0.0
    motion: Motion = "bending"
    drift_nm_per_frame: tuple[float, float] = (0.0, 0.0)
    background_photons: float = 40.0
    bleaching_half_life_frames: float | None = None
    flicker: float = 0.0
    haze_density: float = 0.0
    haze_photons: float = 2_000.0
    haze_blur_nm: float = 500.0
    offset_adu: float = 100.0
    offset_variation_adu: float = 2.0
    gain_adu_per_electron: float = 4.0
    gain_variation: float = 0.02
    read_noise_electrons: float = 1.5
    read_noise_variation: float = 0.3
    bad_pixel_share: float = 0.0
    em_gain: float = 1.0
    saturation_adu: int = 65_535
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE_RANGES.items():
            _check(name, getattr(self, name), low, high, whole=True)
        for name, (low_value, high_value) in _RANGES.items():
            value = getattr(self, name)
            if not (value is None and name in _OPTIONAL):
                _check(name, value, low_value, high_value)
        _check_choice("photon_spread", self.photon_spread, get_args(PhotonSpread), "a photon distribution")
        _check_choice("structure", self.structure, get_args(StructureKind), "a structure")
        _check_choice("motion", self.motion, get_args(Motion), "a motion")
        self._check_drift()
        if (self.na is None) != (self.wavelength_nm is None):
            missing = "na" if self.na is None else "wavelength_nm"
            raise InputError("an Airy PSF needs both na and wavelength_nm", where=missing, hint="give both, or neither")
        if self.na is None and any(self._aberrations().values()):
            raise InputError("a pupil's aberrations need its optics", where="na", hint="give na and wavelength_nm")

    def _check_drift(self) -> None:
        drift = self.drift_nm_per_frame
        if not isinstance(drift, tuple) or len(drift) != 2:
            raise InputError(f"{drift!r} is not a pair", where="drift_nm_per_frame", hint="give (y, x) in nm")
        for value in drift:
            _check("drift_nm_per_frame", value, -1_000, 1_000)

    @property
    def shape(self) -> tuple[int, int]:
        """Camera pixels (H, W)."""
        return self.height, self.width

    @property
    def field_nm(self) -> tuple[float, float]:
        """Size of the field (y, x) in nm."""
        return self.height * self.pixel_nm, self.width * self.pixel_nm

    def psf(self) -> SeparablePsf:
        """Make the PSF: a pupil's where na is given, else a Gaussian."""
        if self.na is None or self.wavelength_nm is None:
            return GaussianPsf(self.psf_sigma_nm, self.psf_sigma_x_nm)
        aberrations = self._aberrations()
        if any(aberrations.values()):
            return AberratedPsf(self.na, self.wavelength_nm, **aberrations)
        return AiryPsf(self.na, self.wavelength_nm)

    def _aberrations(self) -> dict[str, float]:
        return {
            "defocus_rad": self.psf_defocus_rad,
            "astigmatism_rad": self.psf_astigmatism_rad,
            "oblique_rad": self.psf_oblique_rad,
            "coma_x_rad": self.psf_coma_rad,
        }

    def out_of_focus(self) -> Scene:
        """Return the emitters far out of focus as a scene of their own.

        Illumination and flicker remain those of the whole scene.
        """
        return replace(
            self,
            density=self.haze_density,
            photons=self.haze_photons,
            psf_sigma_nm=self.haze_blur_nm,
            psf_sigma_x_nm=None,
            na=None,
            wavelength_nm=None,
            psf_defocus_rad=0.0,
            psf_astigmatism_rad=0.0,
            psf_oblique_rad=0.0,
            psf_coma_rad=0.0,
            flicker=0.0,
            haze_density=0.0,
            seed=self.seed ^ _OUT_OF_FOCUS_SEED,
        )


def _check_choice(name: str, value: object, choices: tuple[str, ...], what: str) -> None:
    """Raise InputError unless value is one of the choices."""
    if value not in choices:
        raise InputError(f"{value!r} is not {what}", where=name, hint=f"give one of {', '.join(choices)}")


def _check(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    """Raise InputError unless value is a number from low to high."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    hint = f"give a {'whole ' if whole else ''}number from {low:g} to {high:g}"
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InputError(f"{value!r} is not a {'whole ' if whole else ''}number", where=name, hint=hint)
    if not (math.isfinite(float(value)) and low <= value <= high):
        raise InputError(f"{value!r} is out of range", where=name, hint=hint)
