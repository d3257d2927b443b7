"""Two views of one field: the follower always shows what the leader shows, and moving either moves both."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore


class LinkedViews:
    """`follower` shows the part of the field that `leader` shows, and what is beside it where its shape is another.

    pyqtgraph's own link aligns views by their place on the screen. Here the centres are the same to the last digit, and
    a pan or zoom in the follower is done to the leader, so that nothing drifts however the two widgets are shaped.
    """

    def __init__(self, leader: Any, follower: Any) -> None:
        self._leader, self._follower = leader, follower
        leader.setAspectLocked(True)
        follower.setAspectLocked(True)
        follower.disableAutoRange()
        self._before = follower.viewRect()
        leader.sigRangeChanged.connect(self._follow)
        follower.sigResized.connect(self._follow)
        follower.sigRangeChangedManually.connect(self._lead)

    def _follow(self, *_: object) -> None:
        self._follower.setRange(rect=self._leader.viewRect(), padding=0)
        self._before = self._follower.viewRect()

    def _lead(self, *_: object) -> None:
        now, leader = self._follower.viewRect(), self._leader.viewRect()
        zoom = now.width() / self._before.width()
        there = QtCore.QRectF(0, 0, leader.width() * zoom, leader.height() * zoom)
        there.moveCenter(now.center())
        self._leader.setRange(rect=there, padding=0)
        self._follow()
