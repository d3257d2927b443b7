"""Pairs of localizations and emitters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


def match(found_yx_nm: Floats, true_yx_nm: Floats, tolerance_nm: float) -> Floats:
    """Pair points (N, 2) and (M, 2) of one frame one to one.

    Returns:
        The distances of the pairs within the tolerance.
    """
    distance = np.linalg.norm(found_yx_nm[:, None] - true_yx_nm[None], axis=-1)
    rows, columns = linear_sum_assignment(np.where(distance <= tolerance_nm, distance, 1e6))
    chosen: Floats = distance[rows, columns]
    return chosen[chosen <= tolerance_nm]
