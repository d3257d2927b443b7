"""Trees in which near points are found."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def tree_of(points: NDArray[np.float64]) -> cKDTree:
    """Build a k-d tree of points, (N, axes).

    Where many of them share the smallest coordinate of a box, SciPy splits it at the next larger number. Next to 0 that
    is subnormal, and a thread that flushes those (`compute.device.prepare_thread`) would split without end, until its
    stack is full. So they count while the tree is built.
    """
    flushed = not np.nextafter(0.0, 1.0) > 0.0
    if not flushed:
        return cKDTree(points)
    torch.set_flush_denormal(False)
    try:
        return cKDTree(points)
    finally:
        torch.set_flush_denormal(True)
