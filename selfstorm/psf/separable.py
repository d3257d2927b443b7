"""A point spread function as a sum of separable modes: psf(y, x) = sum_r weight_r g_r(y) h_r(x).

A mode is kept as the running integrals of g and h, because a camera pixel integrates: what it sees of an emitter is a
difference of them at its two edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from selfstorm.frames import Array

Integral = Callable[[Array, float], Array]


@dataclass(frozen=True, slots=True)
class Mode:
    """One separable mode. along_y, along_x(u_nm, box_nm): running integrals at u, averaged over a box of box_nm."""

    weight: float
    along_y: Integral
    along_x: Integral


def sample_axis_nm(reach_nm: float, step_nm: float) -> Array:
    """Even axis (n,), n odd, of the samples that reach so far to both sides."""
    half = math.ceil(reach_nm / step_nm)
    return np.arange(-half, half + 1) * step_nm


def modes_of_kernel(kernel: Array, step_nm: float, most: int, error: float = 0.0) -> tuple[Mode, ...]:
    """Leading modes of a sampled PSF by singular value decomposition.

    kernel: (n, n) samples step_nm apart, n odd, the emitter in the middle. As few modes as leave out no more than
    `error` of its root mean square, and no more than `most`.
    """
    left, size, right = np.linalg.svd(kernel / kernel.sum())
    left_out = np.sqrt(np.clip(1 - np.cumsum(size**2) / (size**2).sum(), 0, None))
    rank = min(most, 1 + int((left_out > error).sum()))
    edges_nm = (np.arange(len(kernel) + 1) - len(kernel) / 2) * step_nm
    modes = []
    for r in range(rank):
        sign = np.sign(left[:, r].sum()) or 1.0
        profiles = (sign * left[:, r], sign * right[r])
        along_y, along_x = (_tabulated(edges_nm, np.r_[0.0, np.cumsum(profile)]) for profile in profiles)
        modes.append(Mode(float(size[r]), along_y, along_x))
    return tuple(modes)


def _tabulated(edges_nm: Array, running: Array) -> Integral:
    nodes, weights = np.polynomial.legendre.leggauss(4)

    def integral(u_nm: Array, box_nm: float) -> Array:
        if box_nm == 0.0:
            return np.interp(u_nm, edges_nm, running)
        shifts = 0.5 * box_nm * nodes
        return np.asarray(
            sum(0.5 * w * np.interp(u_nm + d, edges_nm, running) for w, d in zip(weights, shifts, strict=True))
        )

    return integral
