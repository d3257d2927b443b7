"""Pictures, events and status out: one XPUB socket, where any number of viewers may listen and none can hinder."""

from __future__ import annotations

import contextlib
import queue
import time

import zmq

from daemon.endpoint import Endpoint
from daemon.guests import Guests
from daemon.health import Health
from daemon.protocol.codec import Buffer, encode
from daemon.protocol.messages import PictureHeader
from selfstorm.frames import Array, StreamInfo

Picture = tuple[PictureHeader, Array]

VIEWER_HIGH_WATER = 20
WAITING_PICTURES = 8
STATUS_S = 0.5
OPTIONS: dict[int, int] = {
    zmq.SNDHWM: VIEWER_HIGH_WATER,
    zmq.XPUB_VERBOSE: 1,  # every newcomer is heard, not only the first
    zmq.LINGER: 500,
}


class Publisher:
    """Sends what the worker gives it, new events, and the status twice a second.

    Who comes late is sent the last pictures, the stream's description, the last events and the status at once.
    """

    def __init__(self, address: str, health: Health, guests: Guests | None = None) -> None:
        self._health = health
        self._endpoint = Endpoint("publisher", address, zmq.XPUB, OPTIONS, self._publish, guests, sends_out=True)
        self._pictures: queue.Queue[dict[str, list[Buffer]]] = queue.Queue(WAITING_PICTURES)
        self._info: StreamInfo | None = None
        self._info_sent: StreamInfo | None = None
        self._last: dict[str, list[Buffer]] = {}
        self._dropped = 0
        self._next_event = 0
        self.listen, self.stop = self._endpoint.listen, self._endpoint.stop

    def describe(self, info: StreamInfo) -> None:
        """The stream that now runs; told to the viewers."""
        self._info = info

    def pictures(self, kind: str, sr: Picture, raw: Picture | None) -> None:
        """Publish a window's picture, and the mean of its camera frames unless it was sent before.

        The oldest waiting ones are dropped, and counted, when nobody sends them on.
        """
        messages = {kind: encode(kind, *sr)}
        if raw is not None:
            messages["raw.mean"] = encode("raw.mean", *raw)
        while True:
            try:
                return self._pictures.put_nowait(messages)
            except queue.Full:
                with contextlib.suppress(queue.Empty):  # the thread may just have taken it
                    self._pictures.get_nowait()
                self._dropped += 1
                self._health.report(results_dropped=self._dropped)

    def _publish(self, socket: zmq.Socket[bytes]) -> None:
        status_due_s = 0.0
        while not (self._endpoint.stopping.is_set() and self._pictures.empty()):
            if self._endpoint.begins_again:
                return
            if self._info is not self._info_sent and self._info is not None:
                self._info_sent = self._info
                self._send(socket, encode("info", self._info_sent))
            self._send_new_pictures(socket)
            self._send_new_events(socket)
            if self._newcomers(socket):
                self._catch_up(socket)
                status_due_s = 0.0
            if time.monotonic() >= status_due_s:
                self._send(socket, encode("status", self._health.status()))
                status_due_s = time.monotonic() + STATUS_S
        self._send_new_events(socket)
        self._send(socket, encode("status", self._health.status()))

    def _send_new_pictures(self, socket: zmq.Socket[bytes]) -> None:
        try:
            messages = self._pictures.get(timeout=0.05)
        except queue.Empty:
            return
        for parts in messages.values():
            self._send(socket, parts)
        self._last |= messages

    def _send_new_events(self, socket: zmq.Socket[bytes]) -> None:
        for event in self._health.events_since(self._next_event):
            self._send(socket, encode("event", event))
            self._next_event = event.number + 1

    def _newcomers(self, socket: zmq.Socket[bytes]) -> bool:
        came = False
        while socket.poll(0):
            came |= socket.recv()[:1] == b"\x01"
        return came

    def _catch_up(self, socket: zmq.Socket[bytes]) -> None:
        if self._info_sent is not None:
            self._send(socket, encode("info", self._info_sent))
        for event in self._health.events_since(self._next_event - VIEWER_HIGH_WATER // 2):
            self._send(socket, encode("event", event))
        for parts in self._last.values():
            self._send(socket, parts)

    @staticmethod
    def _send(socket: zmq.Socket[bytes], parts: list[Buffer]) -> None:
        socket.send_multipart(parts, copy=False)
