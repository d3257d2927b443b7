"""Heartbeats from a thread of their own, whatever the source is doing.

The main thread of a camera process asks its source for one event after the other. A call to a microscope may take
long, or never return: this thread says so meanwhile, and ends the process when no answer can come any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from typing import Protocol, Self, runtime_checkable

from daemon.silence import Silence
from daemon.sources.camera import Source, SourceEvent
from daemon.sources.stream_publisher import StreamPublisher
from daemon.transport.child_process import send_line

FAILED = 3  # exit code: to be started again
BEAT_S = 0.2
STILL_S = 1.2  # said within 2 s
MAX_STILL_S = 30.0  # of a source that cannot tell whether an answer will come
NO_ANSWER = "the camera does not answer"


@runtime_checkable
class Probed(Protocol):
    """A source that can tell whether a pending call will return."""

    def lost_call(self, pending_s: float) -> str:
        """Return why the pending call never returns; empty while it may.

        It is called from another thread than `events`.

        Args:
            pending_s: time since the source was asked for an event.
        """
        ...


class Liveness:
    """Watches the source of a camera process, and sends heartbeats.

    Args:
        publisher: sends the heartbeats.
        source: is watched.
        hint: description for the user when it does not answer; empty for a general one.
    """

    def __init__(self, publisher: StreamPublisher, source: Source, hint: str = "") -> None:
        self._publisher, self._source, self._hint = publisher, source, hint or NO_ANSWER
        self._asked_s: float | None = None
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="liveness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        self._thread.join()

    def events(self) -> Generator[SourceEvent]:
        """Yield the events of the source.

        The first one is not timed: opening a microscope takes as long as it takes.
        """
        try:
            for event in self._source.events():
                self._asked_s = None
                yield event
                self._asked_s = time.monotonic()
        finally:
            self._asked_s = None

    def _watch(self) -> None:
        silence = Silence()
        while not self._halt.wait(BEAT_S):
            asked_s = self._asked_s
            pending_s = silence.lasts_s(time.monotonic() if asked_s is None else asked_s)
            still = pending_s > STILL_S
            self._publisher.stand_still(pending_s if still else 0.0, self._hint if still else "")
            if still and (why := self._lost_call(pending_s)) and self._asked_s == asked_s:
                send_line(failed=why)
                os._exit(FAILED)  # the main thread cannot be reached

    def _lost_call(self, pending_s: float) -> str:
        if isinstance(self._source, Probed):
            return self._source.lost_call(pending_s)
        return f"{self._hint} for {MAX_STILL_S:.0f} s" if pending_s > MAX_STILL_S else ""
