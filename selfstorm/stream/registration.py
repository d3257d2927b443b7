"""Motion of a sample from its localizations, structure by structure.

Localizations of one structure that were found at different times lie apart by what it moved in between, and by noise.
Pairs of them are the data: a pair that is tau frames apart and d nanometres is a measurement d / tau of velocity. Two
things make it an estimate.

* Along a filament nothing shows its motion. The scatter of the pairs around a localization shows how precise a pair is
  in each direction; what is as wide as the neighbourhood itself carries no information (`_precision`).
* Structures cross and move on differently. Velocities are smooth over position and orientation together, so two
  filaments that cross are apart. What the data leave open is taken from coarser and coarser averages.

Displacements are u v + u^2 a with the age u in units of 200 frames, so that turns and changes of speed are followed.
numpy and a k-d tree on the CPU: the same localizations give the same bits.

Reference:
    Lucas & Kanade, IJCAI (1981), for the normal equations; Duits & Franken, Q. Appl. Math. 68, 255 (2010), for
    smoothing over position and orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from selfstorm.compute.neighbours import tree_of
from selfstorm.stream.oriented_grid import GRID_NM, ORIENTATIONS, OrientedPlaces, smooth

Floats = NDArray[np.float64]

HISTORY_FRAMES = 200  # older localizations are not used
ORDERS = 2  # velocity and acceleration
MAX_GROUP_PER_UM2 = 100.0  # localizations that pairs are sought among; more pairs of each add little
# Of each pass: largest age difference of a pair in frames, and the radius in nm in which pairs are sought.
PASSES = ((50.0, 100.0), (100.0, 80.0), (150.0, 70.0))
RIGID_PASSES = ((50.0, 100.0), (100.0, 80.0), (200.0, 80.0), (200.0, 80.0), (200.0, 80.0))
RADIUS_SDS = 1.6  # the radius in units of the Gaussian that weights pairs by their distance, times .6
WEIGHT_SHARE = 0.6
MIN_AGE_DIFFERENCE = 2  # an emitter that stays on is one measurement
# Coarse to fine: standard deviations along and across a structure, nm. Where both are equal, orientations are pooled.
SCALES_NM = ((1500.0, 1500.0), (1000.0, 200.0), (300.0, 120.0))
# Weight of the coarser estimate for each order, in units of the mean information of a localization.
RIDGES = (4.0, 32.0)
OVER_RELAXATION = 1.2
MIN_VARIANCE_NM2 = 25.0
GATE_SHARE = 0.95  # the neighbourhood is cut, so that it is a little narrower than its weights
MIN_GROUP = 1_000
EQUATIONS = 3 * ORDERS * (ORDERS + 1) // 2 + 2 * ORDERS
NEIGHBOURS = 6
FRAME_NM = 0.5  # nm by which localizations a frame apart count as more distant neighbours
RASTER_SD_NM = 150.0
RASTER_FLOOR = 0.01


@dataclass(frozen=True)
class Registration:
    """Motion of localizations up to the time of one frame.

    Attributes:
        now: number of that frame.
        frame: (E,) numbers of the frames of the localizations used.
        yx_nm: (E, 2) where they were found.
        motion: (E, 2, 2) velocity and acceleration, each (y, x): nm in 200 and 200^2 frames.
        rigid: the same motion for all.
    """

    now: int
    frame: Floats
    yx_nm: Floats
    motion: Floats
    rigid: bool

    @property
    def displaced_nm(self) -> Floats:
        """Where the localizations used lie now, (E, 2)."""
        return self.yx_nm + displacement(self.motion, self.now - self.frame)

    def displacements_nm(self, frame: Floats, yx_nm: Floats, until: float) -> Floats:
        """Compute how far localizations moved until a time, (N, 2).

        Args:
            frame: (N,) numbers of their frames.
            yx_nm: (N, 2) where they were found.
            until: number of the frame that they are moved to; may lie between frames.
        """
        motion = self.motion[:1] if self.rigid else self._nearest(frame, yx_nm)
        return displacement(motion, self.now - frame) - displacement(motion, np.full(len(frame), self.now - until))

    def raster(self, field: tuple[int, int], pixel_nm: float) -> Floats:
        """Average the motion over camera pixels, (2, 2, H, W).

        Args:
            field: (H, W).
            pixel_nm: camera pixel in the sample.
        """
        height, width = field
        mean = self.motion.mean(0).ravel()
        if self.rigid:
            return (
                np.broadcast_to(mean[:, None, None], (2 * ORDERS, height, width))
                .reshape(ORDERS, 2, height, width)
                .copy()
            )
        at = np.floor(self.displaced_nm / pixel_nm).astype(int)
        place = at[:, 0].clip(0, height - 1) * width + at[:, 1].clip(0, width - 1)
        sd = RASTER_SD_NM / pixel_nm

        def blurred(weights: Floats | None) -> Floats:
            drawn = np.bincount(place, weights, height * width).reshape(height, width).astype(float)
            return np.asarray(gaussian_filter(drawn, sd, mode="nearest"))

        count = blurred(None)
        floor = RASTER_FLOOR * float(count.mean())
        maps = [(blurred(part) + floor * own) / (count + floor) for part, own in zip(self._flat.T, mean, strict=True)]
        return np.stack(maps).reshape(ORDERS, 2, height, width)

    @property
    def _flat(self) -> Floats:
        return self.motion.reshape(-1, 2 * ORDERS)

    def _nearest(self, frame: Floats, yx_nm: Floats) -> Floats:
        """Take the median motion of the nearest localizations used."""
        tree = tree_of(_space_time(self.frame, self.yx_nm))
        _, nearest = tree.query(_space_time(frame, yx_nm), k=min(NEIGHBOURS, len(self.frame)))
        return np.asarray(np.median(self.motion[nearest.reshape(len(frame), -1)], axis=1))


def displacement(motion: Floats, age: Floats) -> Floats:
    """Compute displacements (N, 2) in nm.

    Args:
        motion: (N or 1, 2, 2) velocities and accelerations.
        age: (N,) frames.
    """
    return np.asarray(np.einsum("no,nod->nd", _powers(age), np.broadcast_to(motion, (len(age), ORDERS, 2))))


def register(frame: Floats, yx_nm: Floats, now: int, *, rigid: bool) -> Registration:
    """Estimate how localizations moved until a frame.

    Args:
        frame: (E,) numbers of their frames, at most 200 before `now`.
        yx_nm: (E, 2) positions from the corner of the first camera pixel.
        now: number of the frame.
        rigid: one motion for all of them.
    """
    powers = _powers(now - frame)
    motion = np.zeros((len(frame), ORDERS, 2))
    at = yx_nm.copy()
    area_um2 = float(np.prod(np.ptp(yx_nm, axis=0))) * 1e-6
    groups = math.ceil(len(frame) / max(MAX_GROUP_PER_UM2 * area_um2, MIN_GROUP))
    cells = tuple(int(n) + 2 for n in yx_nm.max(0).clip(0) / GRID_NM)
    coefficients = np.zeros((ORIENTATIONS, *cells, 2 * ORDERS))
    for longest, radius in RIGID_PASSES if rigid else PASSES:
        equations, angle = _grouped_equations(at, frame, powers, longest, radius, groups)
        whole = equations.sum(0)
        if not whole[0] > 0:  # no pairs
            break
        ridges = np.repeat(RIDGES, 2) * whole[0] / len(frame)
        step = _solved(whole, 1e-6 * ridges, np.zeros(2 * ORDERS))
        if rigid:
            motion = motion + step.reshape(ORDERS, 2)
        else:
            place = OrientedPlaces(at, angle, cells)
            gathered = place.gather(equations)
            for along, across in SCALES_NM:
                step = _solved(smooth(gathered, along, across), ridges, step)
            coefficients = coefficients + OVER_RELAXATION * step
            motion = place.at(coefficients).reshape(-1, ORDERS, 2)
        at = yx_nm + displacement(motion, now - frame)
    return Registration(now, frame, yx_nm, np.broadcast_to(motion, (len(frame), ORDERS, 2)), rigid)


def _powers(age: Floats) -> Floats:
    u = age / HISTORY_FRAMES
    return np.stack([u ** (order + 1) for order in range(ORDERS)], -1)


def _space_time(frame: Floats, yx_nm: Floats) -> Floats:
    return np.column_stack([yx_nm, FRAME_NM * frame])


def _grouped_equations(
    at: Floats, frame: Floats, powers: Floats, longest: float, radius: float, groups: int
) -> tuple[Floats, Floats]:
    """Set up normal equations of pairs within groups of localizations.

    A localization's own error is in all of its pairs, so a few tell nearly as much as all of them, at a cost in
    proportion to their number. Localizations are dealt out in turn: each group is of the whole time.
    """
    equations, angle = np.zeros((len(at), EQUATIONS)), np.zeros(len(at))
    for first in range(groups):
        own = slice(first, None, groups)
        equations[own], angle[own] = _equations(at[own], frame[own], powers[own], longest, radius)
    return equations, angle


def _equations(at: Floats, frame: Floats, powers: Floats, longest: float, radius: float) -> tuple[Floats, Floats]:
    """Set up the normal equations of each localization's pairs.

    Args:
        at: (E, 2) positions, moved as far as known.
        frame: (E,) numbers of their frames.
        powers: (E, orders) of their ages.
        longest: age difference of a pair at most.
        radius: of the neighbourhood, nm.

    Returns:
        (E, 13): three numbers (yy, yx, xx) of the information on each pair of orders, then (y, x) of each order's right
        side; and (E,) the angle of the structure around each.
    """
    pairs = tree_of(at).query_pairs(RADIUS_SDS * radius, output_type="ndarray")
    apart = np.abs(frame[pairs[:, 0]] - frame[pairs[:, 1]])
    one, other = pairs[(apart <= longest) & (apart >= MIN_AGE_DIFFERENCE)].T
    gate_sd = WEIGHT_SHARE * radius
    d_y, d_x = (at[other] - at[one]).T
    weight = np.exp(-0.5 * (d_y**2 + d_x**2) / gate_sd**2)

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(one, values, len(at)) + np.bincount(other, values, len(at)))

    count = total(weight).clip(1e-9)
    scatter = [total(weight * product) / count for product in (d_y * d_y, d_y * d_x, d_x * d_x)]
    angle = 0.5 * np.arctan2(2 * scatter[1], scatter[2] - scatter[0]) % np.pi
    information, pull = _precision(scatter, angle, GATE_SHARE * gate_sd**2)
    # A localization with many pairs is not measured as often: its own error is in all of them.
    weight = weight / np.sqrt(0.5 * (count[one] + count[other]))
    i_yy, i_yx, i_xx = (0.5 * (part[one] + part[other]) * weight for part in information)
    p_yy, p_yx, p_xx = (0.5 * (part[one] + part[other]) * weight for part in pull)
    lever = powers[one] - powers[other]
    columns = []
    for first in range(ORDERS):
        for second in range(first, ORDERS):
            both = lever[:, first] * lever[:, second]
            columns += [total(both * part) for part in (i_yy, i_yx, i_xx)]
    pull_y, pull_x = p_yy * d_y + p_yx * d_x, p_yx * d_y + p_xx * d_x
    columns += [total(lever[:, order] * part) for order in range(ORDERS) for part in (pull_y, pull_x)]
    return np.stack(columns, -1), angle


def _precision(scatter: list[Floats], angle: Floats, gate: float) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Compute the information of pairs, and their pull, from their scatter.

    The pairs of a Gaussian structure of variance s, seen through a Gaussian gate g, have the variance c = 1 / (1/s +
    1/g) and, where it moved by m, the mean c m / s. With p = 1/s = 1/c - 1/g, m is measured by d / (c p) with the
    variance 1 / (c p^2): the information is c p^2 and the pull p d. Where c = g, along a filament, both vanish.

    Args:
        scatter: (yy, yx, xx) mean products of the pairs' distances, (E,) each, nm^2.
        angle: (E,) of the larger principal axis.
        gate: variance of the neighbourhood, nm^2.

    Returns:
        The matrices of information and of pull as (yy, yx, xx), (E,) each.
    """
    yy, yx, xx = scatter
    middle, half = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    sine, cosine = np.sin(angle), np.cos(angle)

    def turned(along: Floats, across: Floats) -> tuple[Floats, ...]:
        return (
            along * sine**2 + across * cosine**2,
            (along - across) * sine * cosine,
            along * cosine**2 + across * sine**2,
        )

    c = [(middle + half).clip(MIN_VARIANCE_NM2), (middle - half).clip(MIN_VARIANCE_NM2)]
    p = [(1 / part - 1 / gate).clip(0) for part in c]
    return turned(c[0] * p[0] ** 2, c[1] * p[1] ** 2), turned(p[0], p[1])


def _solved(equations: Floats, ridges: Floats, prior: Floats) -> Floats:
    """Solve normal equations (..., 13) with a prior for what they leave open.

    Returns:
        (..., 4): velocity (y, x), acceleration (y, x).
    """
    matrix = np.zeros((*equations.shape[:-1], 2 * ORDERS, 2 * ORDERS))
    column = 0
    for first in range(ORDERS):
        for second in range(first, ORDERS):
            yy, yx, xx = (equations[..., column + part] for part in range(3))
            column += 3
            for i, j in ((first, second), (second, first)):
                matrix[..., 2 * i, 2 * j], matrix[..., 2 * i, 2 * j + 1] = yy, yx
                matrix[..., 2 * i + 1, 2 * j], matrix[..., 2 * i + 1, 2 * j + 1] = yx, xx
    right = equations[..., column:] + ridges * prior
    solved: Floats = np.linalg.solve(matrix + np.diag(ridges), right[..., None])[..., 0]
    return solved
