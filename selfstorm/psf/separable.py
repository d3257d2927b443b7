"""PSFs as sums of separable modes: psf(y, x) = sum_r w_r g_r(y) h_r(x).

A mode is kept as the running integrals of g and h, because a camera pixel integrates: its share of an emitter is the
difference of the integrals at its two edges.
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
    """One separable mode of a PSF.

    Attributes:
        weight: of the mode.
        along_y: running integral of (u_nm, box_nm): at u, averaged over a box.
        along_x: the same along x.
    """

    weight: float
    along_y: Integral
    along_x: Integral


def sample_axis_nm(reach_nm: float, step_nm: float) -> Array:
    """Return an even axis (n,), n odd, of samples that reach so far both ways."""
    half = math.ceil(reach_nm / step_nm)
    return np.arange(-half, half + 1) * step_nm


def modes_of_kernel(
    kernel: Array, step_nm: float, max_modes: int, error: float = 0.0, emitter_nm: tuple[float, float] = (0.0, 0.0)
) -> tuple[Mode, ...]:
    """Decompose a sampled PSF into its leading modes by singular values.

    Args:
        kernel: (n, n) samples, n odd.
        step_nm: distance of the samples.
        max_modes: number of modes at most.
        error: share of the root mean square that may be left out; as few modes as that allows are returned.
        emitter_nm: (y, x) of the emitter, from the middle of the samples.
    """
    left, size, right = np.linalg.svd(kernel / kernel.sum())
    left_out = np.sqrt(np.clip(1 - np.cumsum(size**2) / (size**2).sum(), 0, None))
    rank = min(max_modes, 1 + int((left_out > error).sum()))
    edges_nm = (np.arange(len(kernel) + 1) - len(kernel) / 2) * step_nm
    modes = []
    for r in range(rank):
        sign = np.sign(left[:, r].sum()) or 1.0
        profiles = (sign * left[:, r], sign * right[r])
        along_y, along_x = (
            _tabulated(edges_nm - at_nm, np.r_[0.0, np.cumsum(profile)])
            for at_nm, profile in zip(emitter_nm, profiles, strict=True)
        )
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
