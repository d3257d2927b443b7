"""Messages as a daemon makes them, and a real results socket.

The socket sends them to the viewer under test.
"""

import itertools
import queue
import threading
import time

import numpy as np
import zmq
from ports import free_ports

from daemon.protocol.codec import encode
from daemon.protocol.messages import Event, FrameCounts, PictureHeader, Status, WindowCounts

STREAM = "stream-0001"
HEARTBEAT_S = 0.05


def free_port():
    [port] = free_ports(1)
    return port


def header(kind="sr.refined", window=0, run="first-run", side=8, scale=4, pixel_nm=100.0, **other):
    """A picture's header; side and pixel_nm are the camera's."""
    scale = 1 if kind in ("raw.mean", "quality", "trust") else scale
    given = {
        "run": run,
        "window": window,
        "stream": STREAM,
        "shape": (side * scale, side * scale),
        "pixel_nm": None if pixel_nm is None else pixel_nm / scale,
        "scale": scale,
        "first_seq": 100 * window,
        "last_seq": 100 * window + 99,
        "frames": 100,
        "estimate": "fused",
        "unit": "ADU" if kind == "raw.mean" else "photons/frame",
        "published_unix_ns": time.time_ns(),
    }
    return PictureHeader(**(given | other))


def pixels(shape, level=1.0):
    return (np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape) + 1) * np.float32(level)


def status(run="first-run", **other):
    given = {
        "run": run,
        "version": "0.1.0",
        "state": "running",
        "stream": STREAM,
        "frames": FrameCounts(sent=503, received=500, missing=3, used=498, rejected=2),
        "windows": WindowCounts(complete=5, published=4, skipped=1),
        "rate_hz": 49.9,
        "metrics": {"latency_ms": 83.0},
        "sent_unix_ns": time.time_ns(),
    }
    return Status(**(given | other))


def event(number=0, run="first-run", level="warning", text="3 frames never arrived"):
    return Event(run=run, number=number, unix_ns=time.time_ns(), level=level, code="frames.missing", text=text)


class Publisher:
    """Publish with a heartbeat from an XPUB socket in a thread of its own.

    Leaving the context is the daemon's death.
    """

    def __init__(self, port, run):
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.run = run
        self._outbox = queue.Queue()
        self._windows = None
        self.state = {}  # of the status messages
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join(10)

    def send(self, parts):
        self._outbox.put(parts)

    def send_window(self, window, level=1.0, kinds=("sr.refined", "raw.mean"), **other):
        for kind in kinds:
            one = header(kind, window, self.run, **other)
            self.send(encode(kind, one, pixels(one.shape, level)))

    def send_preview(self, window, level=1.0, **other):
        self.send_window(window, level, ("sr.preview", "raw.mean"), **other)

    def send_refined(self, window, level=1.0, **other):
        self.send_window(window, level, ("sr.refined",), **other)

    def send_windows_for_ever(self):
        """Send a new window with every heartbeat.

        A subscriber that connects late thus still gets one.
        """
        self._windows = itertools.count()

    def _publish(self):
        with zmq.Context() as context, context.socket(zmq.XPUB) as results:
            results.linger = 0
            results.bind(self.endpoint)
            while not self._stop.is_set():
                results.send_multipart(encode("status", status(self.run, **self.state)))
                if self._windows is not None and self._outbox.empty():
                    self.send_window(next(self._windows))
                try:
                    results.send_multipart(self._outbox.get(timeout=HEARTBEAT_S))
                except queue.Empty:
                    continue
