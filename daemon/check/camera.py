"""The source itself, for two seconds, in a camera process as the daemon would start it: frames, rate, pixel size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daemon.check.finding import Finding, ok, problem, warning
from daemon.config import Config
from daemon.ingest.sequence_ledger import Ledger
from daemon.protocol.messages import FrameHeader, Heartbeat, Status
from daemon.sources.remote import awaited
from daemon.transport.child_process import ChildProcess, wait_ready
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.frames import StreamInfo

START_S, FIRST_FRAME_S, LOOK_S = 30.0, 6.0, 2.0
CALIBRATE = "calibrate it in Micro-Manager (Devices > Pixel Size Calibration), or set pixel_nm under [camera]"


@dataclass
class Seen:
    """What was seen of the stream. paced: its rate is the camera's, not what this machine can follow."""

    info: StreamInfo | None = None
    rate_hz: float = 0.0
    paced: bool = True
    waits_for: str = ""

    @property
    def bytes_per_s(self) -> float:
        """To record; 0 where that is not known."""
        if self.info is None or not self.paced:
            return 0.0
        return self.info.height * self.info.width * np.dtype(self.info.dtype).itemsize * self.rate_hz


def camera(config: Config, seen: Seen, status: Status | None) -> Iterator[Finding]:
    """Look at the source, where nobody is disturbed by it; fills `seen`."""
    source, seen.paced = config.source, not config.source.can_wait
    if status is not None:
        seen.rate_hz = status.rate_hz
        yield ok("camera", f"left alone: the daemon that runs sees {status.rate_hz:.1f} frames/s")
        return
    if source.kind.place_starts_devices and source.place:
        yield ok("camera", f"left alone: loading {source.place} would start its devices")
        return
    if source.kind.published_elsewhere:
        endpoint = f"tcp://{source.place}"
        with FrameSubscriber(endpoint, key=source.key) as subscriber:
            yield from _look(subscriber, seen, f"waits for {awaited(endpoint)}")
        yield from _calibration(config, seen)
        return
    child = ChildProcess("daemon.sources", [source.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        said = wait_ready(child, START_S)
        if "endpoint" not in said:
            yield problem("camera", said["error"], "")  # says itself what to do about it
            return
        with FrameSubscriber(said["endpoint"]) as subscriber:
            yield from _look(subscriber, seen, "it says nothing")
    finally:
        child.stop()
    yield from _calibration(config, seen)


def _look(subscriber: FrameSubscriber, seen: Seen, silent: str) -> Iterator[Finding]:
    """Two seconds of frames. silent: what is wrong where nothing is heard at all."""
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
            if ledger is None:  # a publisher elsewhere began long ago
                ledger = Ledger(message.stream, message.seq)
                first_s, deadline = last_s, last_s + LOOK_S
            ledger.frame(message.seq)
    if ledger is None or seen.info is None:
        said = subscriber.fault or seen.waits_for or silent
        why = f"waits {said}" if said.startswith("for") else said
        yield warning("camera", f"no frame within {FIRST_FRAME_S:g} s: {why}", "see to that, then check again")
        return
    info, took_s = seen.info, max(last_s - first_s, 1e-3)
    seen.rate_hz = (ledger.received - 1) / took_s
    what = (
        f"{info.camera or info.source}: {info.width} x {info.height} px, {info.dtype}, {seen.rate_hz:.1f} frames/s seen"
    )
    if ledger.missing or lost:
        yield warning(
            "camera",
            f"{what}; {lost} lost at the source, {ledger.missing} on the way",
            "close other programs; lower the rate",
        )
    else:
        yield ok("camera", what)


def _calibration(config: Config, seen: Seen) -> Iterator[Finding]:
    if config.camera.pixel_nm is not None:
        yield ok("pixel size", f"{config.camera.pixel_nm:g} nm, by the configuration")
    elif seen.info is None:
        return
    elif seen.info.pixel_nm is None:
        yield problem("pixel size", "not calibrated: nothing says it", CALIBRATE)
    else:
        yield ok("pixel size", f"{seen.info.pixel_nm:g} nm, by the source")
