"""Check the source: receive its frames for two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daemon.check.pixel_size import CALIBRATE, plausible
from daemon.check.probes import ok, problem, warning
from daemon.config import Config
from daemon.ingest.sequence_ledger import Ledger
from daemon.protocol.messages import FrameHeader, Heartbeat, Status
from daemon.sources.remote import awaited
from daemon.transport.child_process import ChildProcess, wait_ready
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.frames import StreamInfo
from selfstorm.metrics.finding import Finding

START_S, FIRST_FRAME_S, SAMPLE_S = 120.0, 15.0, 2.0


@dataclass
class Seen:
    """Stream as received; paced: at the camera's rate, not this machine's."""

    info: StreamInfo | None = None
    rate_hz: float = 0.0
    paced: bool = True
    waits_for: str = ""

    @property
    def bytes_per_s(self) -> float:
        """Rate of a recording; 0 where that is not known."""
        if self.info is None or not self.paced:
            return 0.0
        return self.info.height * self.info.width * np.dtype(self.info.dtype).itemsize * self.rate_hz


def camera(config: Config, seen: Seen, status: Status | None) -> Iterator[Finding]:
    """Receive some frames, unless that would disturb anyone; fills `seen`."""
    source, seen.paced = config.source, not config.source.can_wait
    if status is not None:
        seen.rate_hz = status.rate_hz
        yield ok("camera", f"not opened: the running daemon receives {status.rate_hz:.1f} frames/s")
        return
    if source.kind.place_starts_devices and source.place:
        yield ok("camera", f"not opened: loading {source.place} would start its devices")
        return
    if source.kind.published_elsewhere:
        endpoint = f"tcp://{source.place}"
        with FrameSubscriber(endpoint, key=source.key) as subscriber:
            yield from _sample(subscriber, seen, f"waits for {awaited(endpoint)}")
        yield from _calibration(config, seen)
        return
    child = ChildProcess("daemon.sources", [source.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        ready = wait_ready(child, START_S)
        if "endpoint" not in ready:
            yield problem("camera", ready["error"], "")  # includes its own hint
            return
        with FrameSubscriber(ready["endpoint"]) as subscriber:
            yield from _sample(subscriber, seen, "no message arrives")
    finally:
        child.stop()
    yield from _calibration(config, seen)


def _sample(subscriber: FrameSubscriber, seen: Seen, silent: str) -> Iterator[Finding]:
    """Count two seconds of frames; `silent`: the fault if no message arrives."""
    ledger: Ledger | None = None
    lost, ended, first_s, last_s = 0, False, 0.0, 0.0
    deadline = time.monotonic() + FIRST_FRAME_S
    while time.monotonic() < deadline and not ended:
        received = subscriber.receive()
        message = received.message if received is not None else None
        if isinstance(message, StreamInfo):
            if seen.info is None or seen.info.stream != message.stream:
                seen.info, ledger = message, None
        elif isinstance(message, Heartbeat):
            seen.waits_for = message.detail if message.state == "waiting" else ""
            ended, lost = message.state == "ended", message.lost_at_source
        elif isinstance(message, FrameHeader) and seen.info is not None and message.stream == seen.info.stream:
            last_s = time.monotonic()
            if ledger is None:  # a publisher elsewhere may have begun long ago
                ledger = Ledger(message.stream, message.seq)
                first_s, deadline = last_s, last_s + SAMPLE_S
            ledger.frame(message.seq)
    if ledger is None or seen.info is None:
        reason = subscriber.fault or seen.waits_for or silent
        why = f"waits {reason}" if reason.startswith("for") else reason
        yield warning("camera", f"no frame within {FIRST_FRAME_S:g} s: {why}", "correct this, then check again")
        return
    info, took_s = seen.info, max(last_s - first_s, 1e-3)
    seen.rate_hz = (ledger.received - 1) / took_s
    what = f"{info.camera or info.source}: {info.width} x {info.height} px, {info.dtype}, {seen.rate_hz:.1f} frames/s"
    if ledger.missing or lost:
        yield warning(
            "camera",
            f"{what}; {lost} lost at the source, {ledger.missing} in transit",
            "close other programs, or lower the frame rate",
        )
    else:
        yield ok("camera", what)


def _calibration(config: Config, seen: Seen) -> Iterator[Finding]:
    if config.camera.pixel_nm is not None:
        yield plausible(config.camera.pixel_nm, "by pixel_nm under [camera]")
    elif seen.info is None:
        return
    elif seen.info.pixel_nm is None:
        yield problem("pixel size", "not calibrated: neither the source nor the configuration gives it", CALIBRATE)
    else:
        yield plausible(seen.info.pixel_nm, "from the source")
