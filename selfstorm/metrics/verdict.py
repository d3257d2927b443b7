"""Verdict on a picture: one word with its cause and remedy.

It is made of the metrics that travel with a picture, so that viewer, terminal, files and command line say the same.
Thresholds were chosen on half of the kinds of movies of `python -m benchmarks.claims`; docs/decisions/0022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from selfstorm.metrics.finding import Finding, Level

NAME = "Verdict"
OUT_OF_FOCUS = "out of focus"
NOT_BLINKING = "not blinking"
SATURATED = "saturated"
PSF_VARIES = "PSF varies"
OF_THE_LIGHT = (NOT_BLINKING, OUT_OF_FOCUS, SATURATED, PSF_VARIES)  # verdicts that no quality of the picture explains
MAX_FAR_CORRELATION = 0.35  # measured: blinking emitters up to .16 (out of focus .23), moving stripes .49 to .96
MIN_PREDICTION_SE = 5.0
GOOD_FIDELITY = 0.75
BAD_FIDELITY = 0.35
MAX_FALSE_SHARE = 0.4
MAX_SATURATED_SHARE = 0.02  # of the pixel values: halves saturate alike, so that they agree on what it distorts
MAX_PSF_VARIATION = 0.15  # measured: up to .09 where one PSF fits all of the field, up to .13 beside haze
MIN_MOTION_NM = 50.0
CROWDED = 1.5

CROWDED_HINT = (
    "Lower the activation laser or shorten the exposure (dSTORM: or raise the excitation laser), or record more frames."
)
PSF_WARNING = "The PSF differs over the field: what blinks is {value} wider in one part than in another."
PSF_HINT = "Trust the sharper part. Choose a smaller region, level the sample, or correct the optics."
TOO_FEW_FRAMES = "Not enough frames or localizations yet to compare two halves of them."


def verdict(metrics: Mapping[str, float]) -> Finding | None:
    """Judge a picture by its metrics.

    Returns:
        The finding; None for pictures of what blinks in focus, by one PSF, that have no localizations: nothing is
        claimed of them.
    """
    if (far := metrics.get("far_correlation", 0.0)) > MAX_FAR_CORRELATION:
        why = f"Not blinking: pixels far apart change together ({far:.2f} of 1): a pattern moves or flickers."
        hint = "Only labels that blink or fluctuate can be resolved; the stripes of a demo camera do not blink."
        return Finding(NAME, NOT_BLINKING, "bad", why, hint)
    widest_nm = metrics.get("blinking_nm", metrics.get("psf_sigma_nm", 0.0))
    if widest_nm > (limit_nm := metrics.get("psf_limit_nm", math.inf)):
        why = f"What blinks is {widest_nm:.0f} nm wide (sigma), wider than light in focus ({limit_nm:.0f} nm)."
        return Finding(NAME, OUT_OF_FOCUS, "bad", why, "Focus, and check the pixel size.")
    if "emitters_per_frame" not in metrics:
        return _unconfirmed(metrics) or _varying(metrics, "warning")
    if metrics["emitters_per_frame"] == 0:
        hint = "Check focus and filters, or raise the excitation laser."
        return Finding(NAME, "empty", "warning", "No emitter stands out from the noise.", hint)
    false_share = metrics.get("false_share", 0.0)
    if false_share > MAX_FALSE_SHARE:
        why = f"About {100 * false_share:.0f} % of the localizations are false."
        return Finding(NAME, "unreliable", "bad", why, "Reduce the background or the density of emitters.")
    fidelity = metrics.get("fidelity")
    if fidelity is None:
        return Finding(NAME, "unknown", "none", TOO_FEW_FRAMES, "Record more frames, or choose a longer window.")
    level: Level = "bad" if fidelity < BAD_FIDELITY else "warning"
    if (share := metrics.get("saturated", 0.0)) > MAX_SATURATED_SHARE:
        why = f"{100 * share:.1f} % of the pixel values are saturated, which distorts both halves alike."
        return Finding(NAME, SATURATED, level, why, "Lower the laser power, the exposure or the camera's gain.")
    if (varying := _varying(metrics, level)) is not None:
        return varying
    if fidelity >= GOOD_FIDELITY:
        return Finding(NAME, "good", "good", f"Two halves of the frames agree; expected fidelity {fidelity:.2f} of 1.")
    return _cause(metrics, level)


def _unconfirmed(metrics: Mapping[str, float]) -> Finding | None:
    """Judge a picture of what fluctuates by its halves of the frames."""
    z = metrics.get("prediction_z", math.inf)
    if z >= MIN_PREDICTION_SE:
        return None
    why = f"Two halves of the frames do not show the same blinking (z = {z:.0f}; {MIN_PREDICTION_SE:.0f} is needed)."
    return Finding(NAME, "no blinking seen", "warning", why, "Check focus, filters and label, or record more frames.")


def _varying(metrics: Mapping[str, float], level: Level) -> Finding | None:
    """Judge a picture by how much its PSF differs over the field."""
    if (varies := metrics.get("psf_variation", 0.0)) <= MAX_PSF_VARIATION:
        return None
    return Finding(NAME, PSF_VARIES, level, PSF_WARNING.format(value=f"{100 * varies:.0f} %"), PSF_HINT)


def _cause(metrics: Mapping[str, float], level: Level) -> Finding:
    """Name the likeliest cause why two halves of the frames differ."""
    motion_nm, crowding = metrics.get("motion_nm", 0.0), metrics.get("crowding", 1.0)
    expected = f"expected fidelity {metrics['fidelity']:.2f} of 1"
    if motion_nm > MIN_MOTION_NM:
        return _moving(motion_nm, metrics.get("motion_left_nm", motion_nm), level, expected)
    if crowding > CROWDED:
        why = f"Emitters overlap (crowding {crowding:.1f}); {expected}."
        return Finding(NAME, "crowded", level, why, CROWDED_HINT)
    why = f"Too few blinks sample the structure; {expected}."
    return Finding(NAME, "too few blinks", level, why, "Record more frames or choose a longer window.")


def _moving(motion_nm: float, left_nm: float, level: Level, expected: str) -> Finding:
    """Judge the picture of a moving sample, whose halves are not moved."""
    why = f"The sample moves {motion_nm:.0f} nm within a window; {expected}."
    if left_nm > MIN_MOTION_NM:
        return Finding(NAME, "moving", level, why, "Choose a shorter window, or wait until the stage is at rest.")
    hint = "The picture follows the motion and is better than this; wait until the stage is at rest to see how good."
    return Finding(NAME, "moving", "warning", why, hint)
