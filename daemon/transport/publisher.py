"""Publisher of pictures, events and status.

One XPUB socket serves any number of viewers; none can delay it.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Mapping

import zmq

from daemon.health import Health
from daemon.keys.allow_list import AllowList
from daemon.protocol.codec import Buffer, encode
from daemon.protocol.messages import MetricDescriptions, PictureHeader
from daemon.transport.refusal_counter import RejectionCounter
from daemon.transport.server_socket import ServerSocket
from selfstorm.frames import Array, StreamInfo
from selfstorm.metrics.registry import METRICS

Picture = tuple[PictureHeader, Array]

VIEWER_HIGH_WATER = 20
WAITING_PICTURES = 8
STATUS_INTERVAL_S = 0.5
MAX_SUBSCRIPTIONS_AT_ONCE = 1000
MAX_FOREIGN = 1000  # subscriptions to unknown kinds: libzmq keeps them until their connection is closed
# All connections are closed at MAX_FOREIGN, but within this time of the last closing only at MAX_FOREIGN_RECENTLY.
RESTART_INTERVAL_S, MAX_FOREIGN_RECENTLY = 10.0, 20_000
MAPS = ("quality", "trust")  # of a refined picture, on camera pixels
PICTURES = (b"sr.preview", b"sr.refined", b"raw.mean", b"quality", b"trust", b"accumulated")
PUBLISHED = (b"info", b"metrics", b"status", b"event", *PICTURES)
SUBSCRIBES, UNSUBSCRIBES = b"\x01", b"\x00"
VIEWED = b"sr.refined"  # who receives this kind is a viewer
CATCH_UP_INTERVAL_S = 1.0  # of repeating the last messages for new viewers: every viewer receives them
MAX_EVENTS_AT_ONCE = VIEWER_HIGH_WATER // 4  # more would not fit into a viewer's queue beside the pictures
LAST_EVENTS = 3 * MAX_EVENTS_AT_ONCE  # at the end, beside the last status alone
OPTIONS: dict[int, int] = {
    zmq.SNDHWM: VIEWER_HIGH_WATER,
    zmq.MAXMSGSIZE: 1024,  # of a viewer's subscription
    zmq.XPUB_VERBOSER: 1,  # report every viewer that comes or goes, not only the first and the last
    zmq.LINGER: 500,
}


class Publisher:
    """Sends the worker's pictures, new events, and the status twice a second.

    A new viewer gets the stream's description, the last events and pictures, and the status at once.

    Attributes:
        last: newest picture of each kind.
        scene_before: last accumulated picture of the scene before; None before a change of scene.
    """

    def __init__(self, address: str, health: Health, allow_list: AllowList | None = None) -> None:
        self._health = health
        self._endpoint = ServerSocket(
            "publisher", health, address, zmq.XPUB, OPTIONS, self._publish, allow_list, sends_out=True
        )
        self._pictures: queue.Queue[dict[str, Picture]] = queue.Queue(WAITING_PICTURES)
        self.last: dict[str, Picture] = {}
        self.scene_before: Picture | None = None
        self._info: StreamInfo | None = None
        self._info_sent: StreamInfo | None = None
        self._dropped = 0
        self._refusals = RejectionCounter(health, "a message of a viewer", "refused_of_viewers")
        self._next_event = self._foreign = self._viewers = 0
        self._restarted_s = -RESTART_INTERVAL_S
        self.listen, self.stop = self._endpoint.listen, self._endpoint.stop

    def describe(self, info: StreamInfo) -> None:
        """Send the description of a new stream to the viewers."""
        self._info = info

    def pictures(self, kind: str, sr: Picture, raw: Picture | None, maps: Mapping[str, Picture] | None = None) -> None:
        """Publish the pictures of a window.

        Args:
            kind: 'sr.preview' or 'sr.refined'.
            sr: super-resolved picture.
            raw: mean of its camera frames; None where it was sent before.
            maps: maps of the picture by kind, 'quality' and 'trust'; those that there are.

        When the queue is full the oldest waiting pictures are dropped and counted.
        """
        pictures = {kind: sr}
        if raw is not None:
            pictures["raw.mean"] = raw
        pictures |= maps or {}
        # Replaced whole, because other threads read it. A map stays no longer than the picture it is of.
        kept = {name: last for name, last in self.last.items() if kind != "sr.refined" or name not in MAPS}
        self.last = kept | pictures
        self._put(pictures)

    def accumulated(self, picture: Picture) -> None:
        """Publish the picture of all frames of a scene."""
        before = self.last.get("accumulated")
        if before is not None and (before[0].scene != picture[0].scene or before[0].frames > picture[0].frames):
            self.scene_before = before
        self.last = self.last | {"accumulated": picture}
        self._put({"accumulated": picture})

    def _put(self, pictures: dict[str, Picture]) -> None:
        while True:
            try:
                return self._pictures.put_nowait(pictures)
            except queue.Full:
                with contextlib.suppress(queue.Empty):  # the thread may just have taken it
                    self._pictures.get_nowait()
                self._dropped += 1
                self._health.report(results_dropped=self._dropped)

    def _publish(self, socket: zmq.Socket[bytes]) -> None:
        status_due_s = catch_up_due_s = 0.0
        new_viewers, self._foreign = False, 0
        self._count_viewers(-self._viewers)
        while not (self._endpoint.stopping.is_set() and self._pictures.empty()):
            if self._endpoint.restarting:
                return
            if self._info is not self._info_sent and self._info is not None:
                self._info_sent = self._info
                self._send(socket, encode("info", self._info_sent))
            self._send_new_pictures(socket)
            self._send_new_events(socket)
            new_viewers |= self._new_viewers(socket)
            if new_viewers and time.monotonic() >= catch_up_due_s:
                self._catch_up(socket)
                new_viewers, status_due_s, catch_up_due_s = False, 0.0, time.monotonic() + CATCH_UP_INTERVAL_S
            if time.monotonic() >= status_due_s:
                self._send(socket, encode("status", self._health.status()))
                status_due_s = time.monotonic() + STATUS_INTERVAL_S
        for event in self._health.events_since(self._next_event)[-LAST_EVENTS:]:
            self._send(socket, encode("event", event))
        self._send(socket, encode("status", self._health.status()))

    def _send_new_pictures(self, socket: zmq.Socket[bytes]) -> None:
        try:
            pictures = self._pictures.get(timeout=0.05)
        except queue.Empty:
            return
        for kind, picture in pictures.items():
            self._send(socket, encode(kind, *picture))

    def _send_new_events(self, socket: zmq.Socket[bytes]) -> None:
        for event in self._health.events_since(self._next_event)[:MAX_EVENTS_AT_ONCE]:
            self._send(socket, encode("event", event))
            self._next_event = event.number + 1

    def _new_viewers(self, socket: zmq.Socket[bytes]) -> bool:
        """Return whether a viewer subscribed.

        Other messages are rejected, and at most a bounded number is read at once.
        """
        came = False
        for _ in range(MAX_SUBSCRIPTIONS_AT_ONCE):
            if not socket.poll(0):
                break
            message = socket.recv()
            if VIEWED.startswith(message[1:]) and message[:1] in (SUBSCRIBES, UNSUBSCRIBES):
                self._count_viewers(1 if message[:1] == SUBSCRIBES else -1)
            if message[:1] == SUBSCRIBES and any(kind.startswith(message[1:]) for kind in PUBLISHED):
                came = True
            elif message[:1] == SUBSCRIBES:
                self._refusals.refuse("a viewer subscribed to a kind that is never published")
                self._foreign += 1
            elif message[:1] != UNSUBSCRIBES:
                self._refusals.refuse("a viewer sent something other than a subscription")
        lately = time.monotonic() - self._restarted_s < RESTART_INTERVAL_S
        if self._foreign > (MAX_FOREIGN_RECENTLY if lately else MAX_FOREIGN):
            self._restarted_s = time.monotonic()
            self._endpoint.restart()
        return came

    def _count_viewers(self, more: int) -> None:
        self._viewers = max(0, self._viewers + more)
        self._health.report(viewers=self._viewers)

    def _catch_up(self, socket: zmq.Socket[bytes]) -> None:
        if self._info_sent is not None:
            self._send(socket, encode("info", self._info_sent))
        self._send(socket, encode("metrics", MetricDescriptions(metrics=tuple(METRICS))))
        count = VIEWER_HIGH_WATER // 2
        for event in self._health.events_since(self._next_event - count)[:count]:  # newer ones follow by themselves
            self._send(socket, encode("event", event))
        for kind, picture in self.last.items():
            self._send(socket, encode(kind, *picture))

    @staticmethod
    def _send(socket: zmq.Socket[bytes], parts: list[Buffer]) -> None:
        socket.send_multipart(parts, copy=False)
