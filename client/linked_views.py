"""Two views of one field that always show the same part of it, to the last digit."""

from __future__ import annotations

from typing import Any


class LinkedViews:
    """`follower` shows what `leader` shows; a pan or zoom in either moves both.

    pyqtgraph's own link aligns views by their place on the screen, and two locked aspects differ by a pixel's
    worth. Here only the leader keeps the aspect, and the follower takes its range as it is.
    """

    def __init__(self, leader: Any, follower: Any) -> None:
        self._leader, self._follower = leader, follower
        leader.setAspectLocked(True)
        follower.disableAutoRange()
        leader.sigRangeChanged.connect(self._follow)
        follower.sigRangeChangedManually.connect(self._lead)

    def _follow(self, *_: object) -> None:
        x, y = self._leader.viewRange()
        self._follower.setRange(xRange=x, yRange=y, padding=0)

    def _lead(self, *_: object) -> None:
        x, y = self._follower.viewRange()
        self._leader.setRange(xRange=x, yRange=y, padding=0)
        self._follow()
