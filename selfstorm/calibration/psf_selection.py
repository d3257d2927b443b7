"""The PSF from the frames alone: the optics that the moments allow.

A wrong PSF costs more than anything else. A given PSF is kept as long as the moments do not reject it by a margin
that matters; else, and if none is given, the simplest PSF that they allow takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from selfstorm.calibration.field_moments import FIELD_LAGS, REACH_PX, FieldMoments
from selfstorm.calibration.psf_autocorrelation import lopsidedness
from selfstorm.calibration.psf_fit import Fit, MomentTarget, fit_round
from selfstorm.psf.models import Airy, Ellipse, Gaussian, Psf, Pupil

NOMINAL_SIGMA_NM = 110.0  # 0.21 wavelength / NA of a far-red dye with an oil objective, and some aberration
NOMINAL_AIRY = Airy(1.4, 670.0)
KNOWN_NA_SD, UNKNOWN_NA_SD = 0.05, 0.3
MIN_BLOCKS = 8  # each half of them has error bars of its own
MAX_WIDTH_SD = 0.05  # of the logarithm of the width
MAX_HALVES_DIFFERENCE = 0.1  # of the two halves' widths, relative
MAX_MISFIT = 0.1
MAX_SIGMA_PX = 0.95 * REACH_PX  # the moments reach no further
MIN_GAIN = 1e-3  # of misfit: a width 4 % off, or axes that differ by 5 %
CHANCE_RATIO = 12.0  # of a significant gain over what one more parameter gains by chance
GOOD_PUPIL_CHI2 = 2.0  # of a pupil: no further start is tried
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
        return _unknown(given, "too few frames or pixels to learn it from")
    target = MomentTarget(moments, pixel_nm)
    round_ = fit_round(target)
    halves = [fit_round(MomentTarget(half, pixel_nm)) for half in moments.halves()]
    widths = [fit.psf.equivalent_sigma_nm for fit in (*halves, round_)]
    unsure = not 0 < round_.sd[0] < MAX_WIDTH_SD or abs(widths[0] - widths[1]) > MAX_HALVES_DIFFERENCE * widths[2]
    if unsure or widths[2] > MAX_SIGMA_PX * pixel_nm:
        return _unknown(given, "the frames do not determine it", (round_,))
    fits = _candidates(moments, target, round_, given)
    best = fits[-1]
    if best.misfit > MAX_MISFIT or best.psf.equivalent_sigma_nm > MAX_SIGMA_PX * pixel_nm:
        return _unknown(given, "no PSF fits the frames", tuple(fits))
    if given is None:
        return PsfFinding(replace(best.psf, origin="learned from the frames"), "none was given", tuple(fits))
    held = target.hold(given)
    if not _better(best, held, MIN_GAIN):
        return PsfFinding(given, "the frames agree with what was given", (held, *fits))
    kind = type(given).__name__
    origin = f"learned from the frames; the given {kind} PSF does not fit them"
    return PsfFinding(replace(best.psf, origin=origin), origin, (held, *fits))


def _candidates(moments: FieldMoments, target: MomentTarget, round_: Fit, given: Psf | None) -> list[Fit]:
    """Return all fits made, the preferred one last.

    It is the first of the simplest that no other is clearly better than.
    """
    near = round_.psf.equivalent_sigma_nm
    nominal, na_sd = NOMINAL_AIRY, UNKNOWN_NA_SD
    if given is not None and given.aperture is not None:
        nominal, na_sd = Airy(*given.aperture), KNOWN_NA_SD
    airy, ellipse = target.fit(nominal.family(near)), target.fit(Ellipse.family(near))
    fits = [round_, airy, ellipse]
    best = airy if _better(airy, round_, 0.0) else round_
    best = ellipse if _better(ellipse, best, MIN_GAIN) else best
    if best.misfit > MAX_SIMPLE_MISFIT and best.chi2 > MAX_SIMPLE_CHI2:
        family = Pupil.family(nominal.na, nominal.wavelength_nm, na_sd)
        good_misfit = max(MAX_SIMPLE_MISFIT, GOOD_PUPIL_CHI2 * best.noise)
        pupil = _oriented(target.fit(family, good_misfit), moments, target.pixel_nm)
        fits.append(pupil)
        best = pupil if _better(pupil, best, MAX_SIMPLE_MISFIT) else best
    return [*(fit for fit in fits if fit is not best), best]


def _oriented(fit: Fit, moments: FieldMoments, pixel_nm: float) -> Fit:
    """Return the fitted PSF, or its twin turned by 180 degrees.

    The third moments decide.
    """
    psf = fit.psf
    if psf.has_twin and moments.standard_errors(lopsidedness(psf, pixel_nm)) < 0:
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


def _unknown(given: Psf | None, why: str, fits: tuple[Fit, ...] = ()) -> PsfFinding:
    psf = given if given is not None else Gaussian(NOMINAL_SIGMA_NM, f"assumed: {why}")
    return PsfFinding(psf, why, fits)
