"""Link two views of one field so that moving either moves both."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore


class LinkedViews:
    """Link of two pyqtgraph views.

    `follower` shows the part of the field that `leader` shows.

    pyqtgraph's own link aligns views by their position on the screen. Here the centres are identical, and a pan or zoom
    in the follower is applied to the leader, so that nothing drifts whatever the shapes of the two widgets.
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
        target = QtCore.QRectF(0, 0, leader.width() * zoom, leader.height() * zoom)
        target.moveCenter(now.center())
        self._leader.setRange(rect=target, padding=0)
        self._follow()
