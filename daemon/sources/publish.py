"""`selfstorm-daemon publish`: a camera process for another machine.

The process runs beside the microscope, and a daemon elsewhere connects to it. It is supervised as by the daemon, by its
heartbeats only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from daemon.health import Health
from daemon.keys.loopback import from_here, is_loopback
from daemon.keys.store import Keyring
from daemon.protocol.codec import MalformedMessageError
from daemon.protocol.messages import Heartbeat
from daemon.sources.section import SourceSection
from daemon.sources.supervisor import CameraSupervisor
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.errors import InputError

TICK_MS = 200


def publish(source: SourceSection, endpoint: str, stop: threading.Event, keyring: Path | None = None) -> Iterator[str]:
    """Publish until stopped, or until the source ends.

    Faults of the camera process are logged meanwhile.

    Args:
        source: to publish.
        endpoint: address to listen on.
        stop: ends the publishing.
        keyring: folder of the clients' keys, where other machines can reach the endpoint.

    Yields:
        A sentence whenever the state changes.

    Raises:
        InputError: the source or the endpoint cannot be used.
    """
    if source.kind.published_elsewhere:
        raise InputError("is a publisher already", where=source.uri, hint="connect the daemon to it")
    ring = Keyring(keyring)
    if not is_loopback(endpoint):
        ring.required(endpoint)
    health = Health(run=uuid4().hex)
    camera = CameraSupervisor(source, health, subscribers=0, lossless=False, endpoint=endpoint, keyring=keyring)
    try:
        yield f"publishing {source.uri} on {camera.endpoint}"
        key = None if is_loopback(camera.endpoint) else ring.own_key()
        with FrameSubscriber(from_here(camera.endpoint), kind="heartbeat", key=key) as subscriber:
            yield from _watch(camera, subscriber, stop)
    finally:
        camera.stop()


def _watch(camera: CameraSupervisor, subscriber: FrameSubscriber, stop: threading.Event) -> Iterator[str]:
    heard_s, last = time.monotonic(), ""
    sent: dict[str, int] = {}  # frames of each stream so far
    resume_at = 0  # the camera's number of the frame that should come next
    while not stop.is_set():
        beat = _heartbeat(subscriber)
        if beat is not None:
            heard_s, sent[beat.stream] = time.monotonic(), beat.next_seq
            resume_at = resume_at if beat.last_number is None else beat.last_number + 1
            if (now := _sentence(beat)) != last:
                last = now
                yield f"{now}; {beat.next_seq} frames sent, {beat.lost_at_source} lost at the source"
            if beat.state == "ended":
                return
        camera.check(heard_s, resume_at, sum(sent.values()))


def _heartbeat(subscriber: FrameSubscriber) -> Heartbeat | None:
    try:
        received = subscriber.receive(TICK_MS)
    except MalformedMessageError:
        return None
    return received.message if received and isinstance(received.message, Heartbeat) else None


def _sentence(beat: Heartbeat) -> str:
    return f"{beat.state}: {beat.detail}" if beat.detail else f"{beat.state}, stream {beat.stream[:8]}"
