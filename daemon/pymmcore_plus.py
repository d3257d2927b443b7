"""Frames of an acquisition of pymmcore-plus, published to a daemon.

    from daemon.pymmcore_plus import FramePublisher

    with FramePublisher() as publisher:
        core.run_mda(sequence, output=[publisher, "cells.ome.zarr"])

The daemon reads them with `uri = "zmq:127.0.0.1:5710"`. Acquisitions that something else starts on this core
(napari-micromanager, a script) are followed with `publisher.connect(core)`.

The acquisition never waits: it puts frames into a bounded queue, and a thread sends them. Frames for which there is no
space are not sent, counted here and in the daemon, and saved by the acquisition all the same.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.frames import Array, PixelType, StreamInfo
from selfstorm.io.pixel_size import plausible_nm

ENDPOINT = "tcp://127.0.0.1:5710"
SOURCE = "pymmcore-plus"
PIXEL_TYPES = ("uint8", "uint16")
QUEUE_BYTES = 2**28
MAX_CHARACTERS = 256  # of the camera in a stream's description
WAIT_S = 0.1
FLUSH_S = 2.0
IDLE = "for an acquisition of pymmcore-plus"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Taken:
    """One frame in the queue.

    Attributes:
        pixels: (H, W), a copy.
        number: of the frame in its acquisition.
        meta: of pymmcore-plus, 'FrameMetaV1'.
        acquisition: number of the acquisition.
        dropped: frames before it that were not sent, in all.
    """

    pixels: Array
    number: int
    meta: Mapping[str, Any]
    acquisition: int
    dropped: int


class FramePublisher:
    """Output of an acquisition engine of pymmcore-plus: publishes its frames.

    It is an output handler (`frameReady`), and has the methods of the engine's sinks (`setup`, `append`, ...).

    Args:
        endpoint: address to publish at.
        keyring: folder of the allowed clients, where other machines can reach the address.
        queue_bytes: memory for frames that wait to be sent.

    Attributes:
        sent: frames sent.
        dropped: frames that were not sent: there was no space in the queue, or they could not be described.

    Raises:
        InputError: the address cannot be used.
    """

    def __init__(
        self, endpoint: str = ENDPOINT, *, keyring: Path | None = None, queue_bytes: int = QUEUE_BYTES
    ) -> None:
        self._stop = threading.Event()
        self._publisher = StreamPublisher(endpoint, self._stop, lossless=False, keyring=keyring)
        self.endpoint = self._publisher.endpoint
        self._queue: queue.SimpleQueue[_Taken] = queue.SimpleQueue()
        self._free_bytes, self._free_lock = queue_bytes, threading.Lock()
        self._acquisition = self._number = 0
        self._refused = ""
        self._key: tuple[object, ...] = ()
        self._reported = 0
        self.sent = self.dropped = 0
        self._thread = threading.Thread(target=self._send, name="frame publisher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, core: Any) -> Self:
        """Follow all acquisitions of a core, whatever starts them.

        Args:
            core: CMMCorePlus. It does not keep this object alive.
        """
        events = core.mda.events
        events.sequenceStarted.connect(self.sequenceStarted)
        events.frameReady.connect(self.frameReady)
        return self

    def sequenceStarted(self, sequence: Any = None, meta: Any = None) -> None:
        """Begin an acquisition: its frames are a stream of their own."""
        self._acquisition += 1
        self._number = 0

    def frameReady(self, image: Array, event: Any, meta: Mapping[str, Any]) -> None:
        """Queue a frame of the acquisition, without ever waiting."""
        number, self._number = self._number, self._number + 1
        if image.ndim != 2 or image.dtype.name not in PIXEL_TYPES:
            self._refuse(f"frames of shape {image.shape}, {image.dtype} are not published: only gray of 8 or 16 bits")
            return
        with self._free_lock:
            if image.nbytes > self._free_bytes:
                self.dropped += 1
                return
            self._free_bytes -= image.nbytes
        # A copy: other handlers of the acquisition may change the image.
        self._queue.put(_Taken(image.copy(), number, meta, self._acquisition, self.dropped))

    def setup(self, sequence: Any, meta: Any = None) -> None:
        """Begin an acquisition, as a sink."""
        self.sequenceStarted(sequence, meta)

    def append(self, img: Array, event: Any, meta: Mapping[str, Any]) -> None:
        """Queue a frame, as a sink."""
        self.frameReady(img, event, meta)

    def skip(self, *, frames: int = 1) -> None:
        """Leave out frames that the acquisition does not take."""

    def get_view(self) -> None:
        """Return nothing: sent frames cannot be seen here again."""

    def close(self) -> None:
        """Send the frames that wait, for 2 s at most, and stop publishing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join(FLUSH_S)
        if self.dropped:
            why = self._refused or "they came faster than they could be sent"
            log.warning("%d frames were not published: %s", self.dropped, why)

    def _refuse(self, why: str) -> None:
        if why != self._refused:
            self._refused = why
            log.warning("%s", why)

    def _send(self) -> None:
        with self._publisher as publisher:
            publisher.say("waiting", IDLE)
            while not (self._stop.is_set() and self._queue.empty()):
                try:
                    taken = self._queue.get(timeout=WAIT_S)
                except queue.Empty:
                    self._count_dropped(self.dropped)
                    publisher.beat()
                else:
                    self._try_to_publish(taken)
            self._count_dropped(self.dropped)
            publisher.say("ended", "the publisher was closed")

    def _try_to_publish(self, taken: _Taken) -> None:
        """Publish a frame, or count it as dropped: no frame ends the publishing."""
        try:
            self._publish(taken)
        except Exception as error:  # its metadata are another program's
            self._refuse(f"frames cannot be published: {type(error).__name__}: {error}")
            with self._free_lock:
                self.dropped += 1
        with self._free_lock:
            self._free_bytes += taken.pixels.nbytes

    def _publish(self, taken: _Taken) -> None:
        info = _describe(taken.pixels, taken.meta)
        key = (taken.acquisition, info.model_copy(update={"stream": ""}))
        if key != self._key:
            self._key = key
            self._publisher.begin(info)
        self._count_dropped(taken.dropped)
        self._publisher.send(CameraFrame(taken.pixels, taken.number, taken.meta.get("runner_time_ms")))
        self._publisher.beat()
        self.sent += 1

    def _count_dropped(self, dropped: int) -> None:
        if self._key and dropped > self._reported:  # a stream counts them: they wait for the first one
            self._publisher.lost(dropped - self._reported)
            self._reported = dropped


def _describe(pixels: Array, meta: Mapping[str, Any]) -> StreamInfo:
    height, width = pixels.shape
    dtype: PixelType = pixels.dtype.name  # type: ignore[assignment]  # checked before it was queued
    return StreamInfo(
        stream=uuid4().hex,
        source=SOURCE,
        height=height,
        width=width,
        dtype=dtype,
        pixel_nm=plausible_nm((meta.get("pixel_size_um") or 0.0) * 1e3),
        exposure_ms=meta.get("exposure_ms") or None,
        camera=str(meta.get("camera_device") or "")[:MAX_CHARACTERS],
    )
