"""Account of the daemon: counters, events and figures, consistent."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal

from daemon.event_gathering import EventGatherer
from daemon.protocol.messages import Event, FrameCounts, Status, WindowCounts
from daemon.stopwatch import Latencies
from selfstorm.printable import printable

log = logging.getLogger(__name__)

Level = Literal["info", "warning", "error"]
KEPT_EVENTS = 1000
VERSION = version("selfstorm")  # read once: this opens a file
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Health:
    """Counters, events and status fields; every method is thread-safe.

    Counters have the names of FrameCounts and WindowCounts. Counts that belong together are added in one call, so that
    sent = received + missing holds in every snapshot.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._frames: Counter[str] = Counter()
        self._windows: Counter[str] = Counter()
        self._fields: dict[str, Any] = {"state": "starting"}
        self._latencies = Latencies()
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._event_count = 0
        self._gatherer = EventGatherer(time.monotonic)
        self._arrivals_s: deque[float] = deque(maxlen=256)
        self._started_s = time.monotonic()

    def frames(self, **counts: int) -> None:
        """Add to frame counters."""
        with self._lock:
            self._frames.update(counts)

    def frame_arrived(self) -> None:
        """Mark the time of a frame, for the rate."""
        self._arrivals_s.append(time.monotonic())

    def windows(self, **counts: int) -> None:
        """Add to window counters."""
        with self._lock:
            self._windows.update(counts)

    def latencies(self, milliseconds: Mapping[str, float]) -> None:
        """Add the stage times of one window."""
        with self._lock:
            self._latencies.add(milliseconds)

    def counts(self) -> tuple[FrameCounts, WindowCounts]:
        """Return the counts so far."""
        with self._lock:
            return FrameCounts(**self._frames), WindowCounts(**self._windows)

    def report(self, **fields: Any) -> None:
        """Set fields of Status: state, source, device, metrics, ..."""
        with self._lock:
            self._fields |= {k: printable(v) if isinstance(v, str) else v for k, v in fields.items()}

    def output_ended(self, name: str, why: str) -> None:
        """Report that an output ended.

        Its path in the status is empty from now on, and the reason stays.
        """
        with self._lock:
            ended = {**self._fields.get("outputs_ended", {}), name: printable(why)}
            self._fields |= {name: "", "outputs_ended": ended}

    def event(self, level: Level, code: str, text: str) -> None:
        """Log an event and publish it; of many of one kind the rest are counted."""
        with self._lock:
            held_back = self._gatherer.admit(code)
            if held_back is not None:
                self._add_event(level, code, f"{text} (and {held_back} more before)" if held_back else text)

    def _add_event(self, level: Level, code: str, text: str) -> None:
        text = printable(text)
        log.log(LEVELS[level], "%s: %s", code, text)
        number, self._event_count = self._event_count, self._event_count + 1
        now_ns = time.time_ns()
        self._events.append(Event(run=self.run, number=number, unix_ns=now_ns, level=level, code=code, text=text))

    def events_since(self, number: int) -> list[Event]:
        """Return the kept events from that number on."""
        with self._lock:
            return [event for event in self._events if event.number >= number]

    def status(self) -> Status:
        """Take a consistent snapshot."""
        with self._lock:
            for code, count in self._gatherer.overdue().items():
                self._add_event("warning", code, f"{count} more of this kind")
            return Status(
                run=self.run,
                version=VERSION,
                frames=FrameCounts(**self._frames),
                windows=WindowCounts(**self._windows),
                latencies=tuple(self._latencies.summary()),
                rate_hz=self.rate_hz(),
                events=self._event_count,
                uptime_s=time.monotonic() - self._started_s,
                sent_unix_ns=time.time_ns(),
                **self._fields,
            )

    def rate_hz(self) -> float:
        """Measure the frame rate; 0 when no frame arrived for two seconds."""
        arrivals = list(self._arrivals_s)
        if len(arrivals) < 2 or time.monotonic() - arrivals[-1] > 2:
            return 0.0
        span_s = arrivals[-1] - arrivals[0]
        return (len(arrivals) - 1) / span_s if span_s > 0 else 0.0
