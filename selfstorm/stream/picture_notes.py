"""Notes for the user on what a picture was made with."""

from __future__ import annotations

from selfstorm.metrics.verdict import MAX_PSF_VARIATION
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.instrument import Calibration

FEW_ITERATIONS = 20  # at most so many make the picture less sharp, which a note reports


def notes_on(calibration: Calibration, state: FieldState, iterations: int, *, empty: bool) -> tuple[str, ...]:
    """Return notes on assumptions, bad pixels, focus and iterations.

    Args:
        calibration: of the field.
        state: of the field.
        iterations: of the density.
        empty: nothing blinks in focus.
    """
    notes = [f"{part}" for part in (calibration.psf, calibration.camera) if "assumed" in part.origin]
    if hot := int(calibration.hot_pixels.sum()):
        notes.append(f"{hot} hot pixel{'s' * (hot > 1)} replaced by the median of neighbouring pixels")
    if (masked := calibration.mask.masked) is not None:
        share = float(masked.mean())
        notes.append(f"{share:.0%} of the field shows a constant or a steady bright source; nothing is drawn there")
    verdict, focus, variation = state.iteration_choice.verdict, state.psf_learning.focus, state.psf_learning.variation
    if variation is not None and variation.relative > MAX_PSF_VARIATION:
        notes.append(f"{variation}")
    if focus is not None and focus.lost:
        notes.append(f"{focus}; the picture is empty")
    elif empty:
        notes.append("No blinking or steady emitters were found; the picture is empty")
    elif verdict is not None and verdict.limited and iterations <= FEW_ITERATIONS:
        notes.append(f"The density is limited to {iterations} iterations; more would fit noise")
    return tuple(notes)
