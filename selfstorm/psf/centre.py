"""Position of the emitter in a PSF that is not symmetric.

Frames do not show where in its PSF an emitter lies: with a PSF that is moved, all emitters are found elsewhere, and fit
as well. Coma of a pupil moves its PSF by 20 to 40 nm a radian. So that all fits of a movie agree on where its emitters
are, the position is defined by the shape of the PSF alone, in a way that coma of the wrong sign does not change.
"""

from __future__ import annotations

import numpy as np

from selfstorm.frames import Array

BACKGROUND = 0.25  # of the peak, as in typical frames; .1 moves a PSF with .5 rad of coma by 1.4 nm


def centre_nm(density: Array, step_nm: float) -> tuple[float, float]:
    """Find the point about which turning a PSF by 180 degrees moves nothing.

    An image of the PSF has its maximum likelihood under the turned PSF where the two have this point in common. For a
    symmetric PSF it is the middle.

    Args:
        density: (n, n) samples at (y, x), n odd.
        step_nm: distance of the samples.

    Returns:
        Its distance (y, x) from the middle of the samples, to .01 nm: exactly 0 for a symmetric PSF.
    """
    side = len(density)
    padded = (2 * side, 2 * side)
    likelihood = np.log1p(density / (BACKGROUND * density.max()))
    scores = np.fft.irfft2(np.fft.rfft2(density, padded) * np.fft.rfft2(likelihood, padded), padded)
    y, x = (int(place) for place in np.unravel_index(int(scores.argmax()), scores.shape))
    near_y, near_x = (range(place - 1, place + 2) for place in (y, x))  # around the edge for a peak in a corner
    at = y + _vertex(scores[:, x].take(near_y, mode="wrap")), x + _vertex(scores[y].take(near_x, mode="wrap"))
    at_y, at_x = (round((place - side + 1) * step_nm / 2, 2) for place in at)
    return at_y, at_x


def _vertex(values: Array) -> float:
    """Return the place of the maximum of a parabola through 3 values.

    Counted from the middle one.
    """
    before, middle, after = map(float, values)
    return (before - after) / (2 * (before - 2 * middle + after))
