"""Link localizations of one emitter in consecutive frames.

Each pair of frames is matched by mutual nearest neighbours: two localizations are one emitter where each is the nearest
to the other, within a radius. Neighbours in another frame are found in one k-d tree of all frames, whose third axis is
the frame, spread so far that a search never reaches from one frame into another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selfstorm.compute.neighbours import tree_of
from selfstorm.errors import InputError
from selfstorm.io.localization_table import LocalizationTable

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RADIUS_SDS = 4.3  # 99 % of the differences of two positions with the same sd lie within
NO_PRECISION = "remove them, or write the table with the uncertainty of every localization"


def link_radius_nm(sd_nm: Floats) -> float:
    """Return how far apart an emitter is found twice, by the precision."""
    return RADIUS_SDS * float(np.median(sd_nm)) if len(sd_nm) else 0.0


def link(frame: Integers, yx_nm: Floats, radius_nm: float, max_dark: int = 0) -> Integers:
    """Find which localizations belong to one emitter.

    Args:
        frame: (N,) of the localizations, in any order.
        yx_nm: (N, 2) positions.
        radius_nm: Largest distance from one frame to the next.
        max_dark: Frames without a localization that one emitter may have between two with one.

    Returns:
        (N,) number of the emitter, from 0.

    Reference:
        The parameters are those of Picasso's link: Schnitzbauer et al., Nature Protocols 12, 1198 (2017).
    """
    count = len(frame)
    points = in_frames(frame, yx_nm, radius_nm)
    first, then = np.zeros(0, np.int64), np.zeros(0, np.int64)
    followed, preceded = np.zeros(count, bool), np.zeros(count, bool)
    for lag in range(1, max_dark + 2):
        early, late = np.flatnonzero(~followed), np.flatnonzero(~preceded)
        a, b = _mutual(points[early], points[late], lag * frame_spacing(radius_nm), radius_nm)
        followed[early[a]], preceded[late[b]] = True, True
        first, then = np.append(first, early[a]), np.append(then, late[b])
    links = coo_array((np.ones(len(first), bool), (first, then)), (count, count))
    groups: Integers = connected_components(links, directed=False)[1].astype(np.int64)
    return groups


def combine(groups: Integers, table: LocalizationTable) -> LocalizationTable:
    """Make one row of each emitter's localizations.

    The position is their mean, weighted by the inverse variance of each; photons and background are summed, as if the
    emitter's frames had been one exposure; the frame is its first.

    Args:
        groups: (N,) number of the emitter, as of `link`.
        table: N localizations.

    Returns:
        The emitters, by their first frames, with the number of their localizations in `frames`.
    """
    count = int(groups.max()) + 1 if len(groups) else 0

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(groups, values, count), np.float64)

    weight_x, weight_y = 1 / table.sd_x_nm**2, 1 / table.sd_y_nm**2
    weights_x, weights_y = total(weight_x), total(weight_y)
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, groups, table.frame)
    frames = np.bincount(groups, minlength=count).astype(np.int64)
    linked = LocalizationTable(
        first,
        total(weight_x * table.x_nm) / weights_x,
        total(weight_y * table.y_nm) / weights_y,
        total(table.sigma_nm) / frames,
        total(table.photons),
        total(table.background_photons),
        np.sqrt(total(table.background_sd**2)),
        1 / np.sqrt(weights_x),
        1 / np.sqrt(weights_y),
        frames,
    )
    return linked.at(np.lexsort((linked.x_nm, first)))


def linked(table: LocalizationTable, max_dark: int = 0) -> LocalizationTable:
    """Count each emitter in consecutive frames once.

    The radius follows from the claimed precision.

    Raises:
        InputError: rows state no precision.
    """
    unknown = ~((table.sd_x_nm > 0) & (table.sd_y_nm > 0))
    if unknown.any():
        raise InputError(f"{int(unknown.sum())} of {len(table)} localizations state no precision", hint=NO_PRECISION)
    yx_nm = np.stack([table.y_nm, table.x_nm], 1)
    return combine(link(table.frame, yx_nm, link_radius_nm(table.sd_nm), max_dark), table)


def frame_spacing(radius_nm: float) -> float:
    """Return the distance of frames along the third axis of `in_frames`."""
    return 2 * radius_nm + 1.0


def in_frames(frame: Integers, yx_nm: Floats, radius_nm: float) -> Floats:
    """Give positions a third axis, along which frames are out of reach.

    Returns:
        (N, 3) positions, frames `frame_spacing` apart.
    """
    return np.column_stack([yx_nm, frame * frame_spacing(radius_nm)])


def _mutual(early: Floats, late: Floats, lag_nm: float, radius_nm: float) -> tuple[Integers, Integers]:
    """Pair points that are each other's nearest, the later ones lag_nm on."""
    if not len(early) or not len(late):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    lag = np.array([0.0, 0.0, lag_nm])
    _, following = tree_of(late).query(early + lag, distance_upper_bound=radius_nm)
    _, preceding = tree_of(early).query(late - lag, distance_upper_bound=radius_nm)
    a = np.flatnonzero(following < len(late))
    a = a[preceding[following[a]] == a]
    return a, following[a]
