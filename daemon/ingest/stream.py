"""One stream in the daemon: its account, its losses, its windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from daemon.health import Health
from daemon.ingest.loss_events import Losses, known_causes
from daemon.ingest.sequence_ledger import LONGEST_GAP, Ledger
from daemon.ingest.windows import SlidingWindows
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.run_clock import unix_ns
from daemon.sources.kinds import is_stored
from selfstorm.errors import SelfStormError
from selfstorm.frames import Array, Frame, StreamInfo, Window


class RefusedError(SelfStormError):
    """A message that is well formed and cannot be true; says why."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without a sender.

    Attributes:
        last_number: the camera's number of the last frame before it.
        away_s: duration in seconds.
    """

    last_number: int
    away_s: float


NUMBER_AGAIN = (
    "a frame number came twice or went back: two programs publish one stream, or it began again under its name"
)


class StreamReceiver:
    """One stream: its ledger and its windows.

    Args:
        info: description of the stream.
        health: takes the account, and events.
        complete: called with every window that is complete.
        windows: cuts the stream.
        outage: time without a sender before the stream; None without one.
        first_seq: number of its first frame, as it was joined.
    """

    def __init__(
        self,
        info: StreamInfo,
        health: Health,
        complete: Callable[[Window], None],
        windows: SlidingWindows,
        outage: Outage | None = None,
        first_seq: int = 0,
    ) -> None:
        self.info, self.windows = info, windows
        self.last_number: int | None = None
        self.last_frame_s: float | None = None
        self._outage = outage
        self._health, self._complete = health, complete
        self._ledger = Ledger(info.stream, first_seq=first_seq)
        self._left_out = 0
        self._lost: dict[str, int] = {}  # before sending, by cause
        self._losses = Losses(health, info.source)

    def frame(self, header: FrameHeader, pixels: Array) -> bool:
        """Account for a frame, and put it into the windows.

        Returns:
            Whether it is used; one of another shape or type than its stream's is rejected.

        Raises:
            RefusedError: its number cannot be true.
        """
        self._check(header.seq)
        gap = self._ledger.frame(header.seq)
        if gap is None:
            raise RefusedError(NUMBER_AGAIN)
        fits = (header.shape, header.dtype) == ((self.info.height, self.info.width), self.info.dtype)
        self._health.frames(sent=gap + 1, missing=gap, received=1, **{"used" if fits else "rejected": 1})
        self._health.frame_arrived()
        if self._outage is not None:
            self._account(self._outage, header.number)
            self._outage = None
        self.last_number, self.last_frame_s = header.number, time.monotonic()
        if fits:
            frame = Frame(
                stream=header.stream,
                seq=header.seq,
                number=header.number,
                pixels=pixels,
                camera_ms=header.camera_ms,
                sent_unix_ns=header.sent_unix_ns,
                received_unix_ns=unix_ns(),
            )
            self._hand_on(self.windows.push(frame))
        else:
            self._hand_on(self.windows.passed(header.seq + 1))
        return fits

    def stray(self, header: FrameHeader) -> None:
        """Count a frame that came while another stream runs.

        It is received, and rejected.

        Raises:
            RefusedError: its number cannot be true.
        """
        self._check(header.seq)
        gap = self._ledger.frame(header.seq)
        if gap is not None:
            self._health.frames(sent=gap + 1, missing=gap, received=1, rejected=1)

    def resume(self, windows: SlidingWindows) -> None:
        """Go on after another stream.

        The account continues, the windows begin again.

        Args:
            windows: cut the stream from here on.
        """
        self.windows, self._left_out = windows, 0

    @property
    def next_seq(self) -> int:
        """Number of the frame that should come next."""
        return self._ledger.next_seq

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        """Account for the position that the sender reports.

        Frames before it that did not come are missing.

        Raises:
            RefusedError: the report cannot be true.
        """
        lost = known_causes(heartbeat.lost_at_source, heartbeat.lost_in_camera, heartbeat.lost_by_cause)
        newly = [count - self._lost.get(cause, 0) for cause, count in lost.items()]
        if min(newly) < 0:
            raise RefusedError("the count of frames lost at the source went back")
        if max(newly) > LONGEST_GAP:
            raise RefusedError(f"the count of lost frames jumps by more than {LONGEST_GAP:,}")
        self._check(heartbeat.next_seq)
        gap = self._ledger.reached(heartbeat.next_seq)
        self._health.frames(sent=gap, missing=gap)
        self._hand_on(self.windows.passed(heartbeat.next_seq))
        self._lost = lost
        self._health.frames(lost_at_source=sum(newly))
        self._losses.report(self._ledger.missing, lost, last=heartbeat.state == "ended")

    def _check(self, seq: int) -> None:
        if not self._ledger.is_plausible(seq):
            raise RefusedError(f"the frame number jumps by more than {LONGEST_GAP:,}")

    def _account(self, outage: Outage, number: int) -> None:
        """Estimate the frames lost in an outage, at the first frame after it."""
        away_s = outage.away_s
        if number == outage.last_number + 1 or is_stored(self.info.source):
            self._health.event("info", "source_resumed", f"frames go on with number {number} after {away_s:.1f} s")
            return
        lost = min(round(away_s * self.info.rate_hz), LONGEST_GAP) if self.info.rate_hz else 0
        self._health.frames(estimated_lost_in_outages=lost)
        how_many = f"about {lost} frames were" if lost else "an unknown number of frames was"
        self._health.event(
            "warning",
            "frames_lost_in_outage",
            f"{how_many} not captured in {away_s:.1f} s without camera process",
        )

    def _hand_on(self, windows: Iterable[Window]) -> None:
        for window in windows:
            self._complete(window)
        if left_out := self.windows.left_out - self._left_out:
            self._left_out += left_out
            self._health.windows(complete=left_out, skipped=left_out)
