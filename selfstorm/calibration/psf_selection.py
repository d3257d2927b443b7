"""The PSF from the frames alone: the optics that the moments allow.

A wrong PSF costs more than anything else. A given PSF is kept as long as the moments do not reject it by a margin
that matters; else, and if none is given, the simplest PSF that they allow takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from selfstorm.calibration.field_moments import FIELD_LAGS, REACH_PX, FieldMoments
from selfstorm.calibration.psf_autocorrelation import autocorrelation, third_moment
from selfstorm.calibration.psf_fit import Fit, MomentTarget, fit_round
from selfstorm.frames import Array
from selfstorm.psf.models import Airy, Ellipse, Gaussian, Psf, Pupil

NOMINAL_SIGMA_NM = 110.0  # 0.21 wavelength / NA of a far-red dye with an oil objective, and some aberration
NOMINAL_AIRY = Airy(1.4, 670.0)
OUT_OF_FOCUS = "nothing that blinks is in focus"
KNOWN_NA_SD, UNKNOWN_NA_SD = 0.05, 0.3
MIN_BLOCKS = 8  # each half of them has error bars of its own
MAX_WIDTH_SD = 0.05  # of the logarithm of the width
MAX_HALVES_DIFFERENCE = 0.1  # of the two halves' widths, relative
MAX_MISFIT = 0.1
MAX_SIGMA_PX = 0.95 * REACH_PX  # the moments reach no further
MIN_GAIN = 1e-3  # of misfit: a width 4 % off, or axes that differ by 5 %
CHANCE_RATIO = 12.0  # of a significant gain over what one more parameter gains by chance
GOOD_PUPIL_CHI2 = 2.0  # of a pupil: no further start is tried
MIN_HALO_SHARE, MIN_HALO_Z = 0.5, 2.5  # of the third moments that a PSF's halo adds
MAX_SIMPLE_CHI2, MAX_SIMPLE_MISFIT = 6.0, 2e-4  # chi2 and misfit above which neither Gaussian nor Airy is accepted


@dataclass(frozen=True)
class PsfFinding:
    """The PSF to use.

    Attributes:
        psf: to use.
        reason: for the user.
        fits: every fit that was made, the given PSF's first, the best last.
    """

    psf: Psf
    reason: str
    fits: tuple[Fit, ...] = ()


def find_psf(moments: FieldMoments, pixel_nm: float, given: Psf | None = None) -> PsfFinding:
    """Find the simplest PSF that the moments allow.

    Args:
        moments: of the frames.
        pixel_nm: camera pixel.
        given: PSF to prefer, if the moments allow it.
    """
    if len(moments.pairs) < MIN_BLOCKS:
        return unknown_psf(given, "too few frames or pixels to learn it from")
    target = MomentTarget(moments, pixel_nm)
    round_ = fit_round(target)
    halves = [fit_round(MomentTarget(half, pixel_nm)) for half in moments.halves()]
    widths = [fit.psf.equivalent_sigma_nm for fit in (*halves, round_)]
    unsure = not 0 < round_.sd[0] < MAX_WIDTH_SD or abs(widths[0] - widths[1]) > MAX_HALVES_DIFFERENCE * widths[2]
    if unsure or widths[2] > MAX_SIGMA_PX * pixel_nm:
        return unknown_psf(given, "the frames do not determine it", (round_,))
    simple = _simple(target, round_, given)
    fits = _candidates(moments, target, simple, given)
    hazy = MomentTarget(moments, pixel_nm, hazy=True)
    if (clear := _without_haze(moments, hazy, simple[-1], fits[-1].psf, given)) is not None:
        target, fits = hazy, [*fits, clear]
    best = fits[-1]
    if best.misfit > MAX_MISFIT or best.psf.equivalent_sigma_nm > MAX_SIGMA_PX * pixel_nm:
        return unknown_psf(given, "no PSF fits the frames", tuple(fits))
    if given is None:
        return PsfFinding(replace(best.psf, origin="learned from the frames"), "none was given", tuple(fits))
    held = target.hold(given)
    if not _better(best, held, MIN_GAIN):
        return PsfFinding(given, "the frames agree with what was given", (held, *fits))
    kind = type(given).__name__
    origin = f"learned from the frames; the given {kind} PSF does not fit them"
    return PsfFinding(replace(best.psf, origin=origin), origin, (held, *fits))


def _without_haze(moments: FieldMoments, hazy: MomentTarget, simple: Fit, best: Psf, given: Psf | None) -> Fit | None:
    """Fit a simple PSF with haze beside it.

    An aberrated PSF with a halo fits moments bent by haze as well as a simple PSF and haze do. It is the third moments
    that show whose the halo is.

    Args:
        moments: of the frames.
        hazy: the moments, with haze.
        simple: the best fit of a simple PSF without haze.
        best: the best PSF of all without haze.
        given: PSF that the user gave.

    Returns:
        The best fit, None where the moments show no haze or the halo is the PSF's own.
    """
    clear = _simple(hazy, fit_round(hazy), given)[-1]
    if not _better(clear, simple, 0.0) or _too_poor(clear) or hazy.haze(clear.psf) <= 0:
        return None
    return None if _has_halo(moments, best, clear.psf, hazy.pixel_nm) else clear


def _has_halo(moments: FieldMoments, wide: Psf, narrow: Psf, pixel_nm: float) -> bool:
    """Return True if the third moments are those of the wider of two PSFs.

    What the wider adds to them is what the narrower, the shot noise and a constant cannot explain.
    """
    if wide == narrow:
        return False

    def beside(psf: Psf) -> Array:
        return np.stack([np.ones(2 * len(FIELD_LAGS)), np.tile(autocorrelation(psf, pixel_nm), 2)], 1)

    measured, basis = moments.mean_third, np.c_[beside(narrow), third_moment(narrow, pixel_nm, odd=False)]
    added = third_moment(wide, pixel_nm, odd=False)
    scale = np.linalg.lstsq(np.c_[beside(wide), added], measured, rcond=None)[0][-1]
    left = added - basis @ np.linalg.lstsq(basis, added, rcond=None)[0]
    own = scale * float(left @ left)
    return bool(measured @ left > MIN_HALO_SHARE * own > 0 and moments.standard_errors(left) > MIN_HALO_Z)


def _candidates(moments: FieldMoments, target: MomentTarget, simple: list[Fit], given: Psf | None) -> list[Fit]:
    """Return all fits made, the preferred one last.

    It is the first of the simplest that no other is clearly better than.
    """
    fits, best = list(simple), simple[-1]
    if _too_poor(best):
        nominal, na_sd = _nominal(given)
        family = Pupil.family(nominal.na, nominal.wavelength_nm, na_sd)
        good_misfit = max(MAX_SIMPLE_MISFIT, GOOD_PUPIL_CHI2 * best.noise)
        pupil = _oriented(target.fit(family, good_misfit), moments, target.pixel_nm)
        fits.append(pupil)
        best = pupil if _better(pupil, best, MAX_SIMPLE_MISFIT) else best
    return [*(fit for fit in fits if fit is not best), best]


def _simple(target: MomentTarget, round_: Fit, given: Psf | None) -> list[Fit]:
    """Return the fits of the simple PSFs, the preferred one last."""
    near = round_.psf.equivalent_sigma_nm
    airy, ellipse = target.fit(_nominal(given)[0].family(near)), target.fit(Ellipse.family(near))
    best = airy if _better(airy, round_, 0.0) else round_
    best = ellipse if _better(ellipse, best, MIN_GAIN) else best
    return [*(fit for fit in (round_, airy, ellipse) if fit is not best), best]


def _nominal(given: Psf | None) -> tuple[Airy, float]:
    """Return the nominal aperture, and the relative sd of its NA."""
    if given is not None and given.aperture is not None:
        return Airy(*given.aperture), KNOWN_NA_SD
    return NOMINAL_AIRY, UNKNOWN_NA_SD


def _too_poor(fit: Fit) -> bool:
    return fit.misfit > MAX_SIMPLE_MISFIT and fit.chi2 > MAX_SIMPLE_CHI2


def _oriented(fit: Fit, moments: FieldMoments, pixel_nm: float) -> Fit:
    """Return the fitted PSF, or its twin turned by 180 degrees.

    The third moments decide.
    """
    psf = fit.psf
    if psf.has_twin and moments.standard_errors(third_moment(psf, pixel_nm, odd=True)) < 0:
        return replace(fit, psf=psf.turned())
    return fit


def _better(new: Fit, old: Fit, matters: float) -> bool:
    """Return True if a fit explains more than another.

    Beyond chance, and by as much as a picture would show.

    Args:
        new: fit with more parameters.
        old: fit with fewer.
        matters: misfit by which they must differ.
    """
    chance = max(old.noise - new.noise, new.noise / len(FIELD_LAGS))
    return old.misfit - new.misfit > max(matters, CHANCE_RATIO * chance)


def unknown_psf(given: Psf | None, why: str, fits: tuple[Fit, ...] = ()) -> PsfFinding:
    """Return the PSF to use where the frames do not show it.

    Args:
        given: by the user, which is kept.
        why: the frames do not show it.
        fits: that were made.
    """
    psf = given if given is not None else Gaussian(NOMINAL_SIGMA_NM, f"assumed: {why}")
    return PsfFinding(psf, why, fits)
