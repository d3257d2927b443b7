"""Camera process: one source, published as a frame stream.

    python -m daemon.sources SOURCE.json --bind ENDPOINT [--subscribers N] [--keyring DIR] [--lossless]
                             [--resume-at NUMBER --sent N --left JSON]

The first line it prints is JSON: {"endpoint": ...} once it listens, or {"error": ...}. It ends when its standard
input closes, so it never outlives the daemon that started it, however that ended.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from daemon.sources.camera import (
    TICK_S,
    CameraError,
    CameraFrame,
    Lost,
    Note,
    RestartState,
    Resume,
    Source,
    SourceEvent,
    Waiting,
)
from daemon.sources.kinds import resolve
from daemon.sources.liveness import FAILED, Liveness
from daemon.sources.section import SourceSection
from daemon.sources.stream_publisher import StreamPublisher
from daemon.transport.child_process import send_line, stop_requested
from selfstorm.commands.console import USER_ERROR
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo


def open_source(section: SourceSection, stop: threading.Event, resume: Resume) -> Source:
    """Open the source that a URI names.

    Args:
        section: the configuration of the source.
        stop: ends the source.
        resume: position to go on from, for sources that can.
    """
    source: Source = resolve(section.kind.opener)(section, stop, resume)
    return source


def publish(
    events: Iterator[SourceEvent], publisher: StreamPublisher, stop: threading.Event, max_frames: int | None
) -> None:
    """Send every event of the source, until it ends or is stopped.

    Args:
        events: of the source.
        publisher: sends the frames and heartbeats.
        stop: ends the publishing.
        max_frames: number of frames to send; None for all.
    """
    sent = 0
    for event in events:
        match event:
            case StreamInfo():
                publisher.begin(event)
            case CameraFrame() if sent == max_frames:  # the processes before this one have sent them all
                break
            case CameraFrame():
                publisher.say("running")
                publisher.send(event)
                sent += 1
            case Lost(count, cause):
                publisher.lost(count, cause)
            case Waiting(detail):
                publisher.say("waiting", detail)
            case Note(text):
                send_line(note=text)
        publisher.beat()
        if stop.is_set() or (sent and sent == max_frames):
            break
    publisher.say("ended", "the source has ended")


def _leave(left: RestartState, debt: str) -> None:
    send_line(left=dict(left), debt=debt)


@click.command()
@click.argument("section")
@click.option("--bind", "endpoint", required=True)
@click.option("--subscribers", type=int, default=1)
@click.option("--resume-at", type=int, default=0, help="The number of the frame to go on with.")
@click.option("--sent", type=int, default=0, help="Frames that camera processes before this one sent.")
@click.option("--left", type=json.loads, default="{}", help="State that the camera process before this one left.")
@click.option("--keyring", type=click.Path(path_type=Path), help="The keys for an address beyond loopback.")
@click.option("--lossless", is_flag=True)
def main(
    section: str,
    endpoint: str,
    subscribers: int,
    resume_at: int,
    sent: int,
    left: dict[str, Any],
    keyring: Path | None,
    lossless: bool,
) -> None:
    """Run one camera process."""
    stop = stop_requested()
    try:
        settings = SourceSection.model_validate_json(section)
        source = open_source(settings, stop, Resume(resume_at, sent, left, _leave))
        with StreamPublisher(endpoint, stop, lossless=lossless or settings.can_wait, keyring=keyring) as publisher:
            send_line(endpoint=publisher.endpoint)
            publisher.wait_for_subscribers(subscribers)
            with (
                Liveness(publisher, source, settings.kind.silent_hint) as liveness,
                contextlib.closing(liveness.events()) as events,
            ):
                publish(events, publisher, stop, settings.frames and max(0, settings.frames - sent))
            # The end is repeated until the parent closes our input: a single end marker can get lost.
            while not stop.wait(TICK_S):
                publisher.beat()
    except InputError as error:
        send_line(error=str(error))
        sys.exit(USER_ERROR)
    except CameraError as error:
        send_line(failed=str(error))
        sys.exit(FAILED)
    except Exception as error:  # a camera fails in its own ways: the daemon reports it and starts another process
        logging.getLogger(__name__).exception("the camera process failed")
        send_line(failed=f"{type(error).__name__}: {error}")
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
