"""Supervision of the recorder process.

It keeps the account of the recording, restarts the recorder, and reports when it is silent or has ended.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config import CameraSection
from daemon.health import Health
from daemon.recording.index_count import IndexCount
from daemon.silence import Silence
from daemon.transport.child_process import STOP_S, ChildProcess
from selfstorm.errors import InputError

MAX_RESTARTS, RESTARTS_WITHIN_S = 6, 60.0  # a recorder that dies more often has a fault that stays
RETRY_INTERVAL_S = 2.0
START_S, MAX_SILENCE_S = 30.0, 3.0  # until the first report, and between two
COUNT_S, LAST_COUNT_S = 0.05, 0.5  # wait for the count of an index: of the main loop, and at the end
NOTHING: dict[str, Any] = {
    "recorded": 0,
    "missing": 0,
    "stream": "",
    "next_seq": 0,
    "frames_that_fit": None,
    "file": "",
    "in_file": 0,
    "refused_streams": 0,
}
MIN_DISK_LEFT_S = 600.0


@dataclass(frozen=True, slots=True)
class Reached:
    """State of the receiver.

    Attributes:
        sent: frames of all streams so far.
        stream: the running stream; empty before the first.
        next_seq: number of its next frame.
    """

    sent: int = 0
    stream: str = ""
    next_seq: int = 0


class RecorderSupervisor:
    """Runs the recorder process; if it dies it goes on in a new file.

    The account holds at every moment: frames since the recording began = recorded + missing + under way, where the
    last are those that the recorder has not reported yet.

    Args:
        endpoint: address of the frame stream.
        folder: for the files.
        health: takes the account, and events.
        late: the first stream may have begun before.
        key: for frames from another machine.
        camera: what the user gives of the camera, for the files.
        whole: the recording began with the run, so every frame that the receiver counted belongs to it.
        reached: returns the state of the receiver.

    Attributes:
        stopped: the recorder cannot record any more; frames that still come are missing from the recording.
    """

    def __init__(
        self,
        endpoint: str,
        folder: Path,
        health: Health,
        reached: Callable[[], Reached],
        *,
        late: bool = False,
        whole: bool = False,
        key: Path | None = None,
        camera: CameraSection | None = None,
    ) -> None:
        self._arguments = ["--connect", endpoint, "--folder", str(folder)]
        self._arguments += ["--key", str(key)] if key is not None else []
        self._arguments += _given(camera) if camera is not None else []
        self._health, self._reached = health, reached
        self._said = dict(NOTHING)
        self._recorded_before = self._missing_before = 0
        self._restarts_s: deque[float] = deque(maxlen=MAX_RESTARTS)
        self._sent_before: int | None = 0 if whole else None
        self.recorded = self.missing = 0
        self._disk_warned = False
        self.stopped = self._silent = self._answered = False
        self._heard_s = self._restart_due_s = time.monotonic()
        self._silence = Silence()
        self._child: ChildProcess | None = None
        self._left: IndexCount | None = None  # of a recorder that died, while its lines are counted
        self._late = ["--late"] if late else []
        self._start(self._late)

    def check(self) -> None:
        """Take over its reports; restart it if it died."""
        self._hear()
        if self._child is not None and self._child.exit_code is not None:
            self._child.stop(0.5)
            self._hear()
            self._child = None
            self._recover()
        self._take_over_what_is_left(COUNT_S)
        if self._left is not None:
            self._warn_of_silence(MAX_SILENCE_S)
            return  # what it wrote is under way until it is counted
        if self.stopped or self._child is None:
            self._account(final=True)  # nothing is under way: no process records
        if self._child is not None:
            self._warn_of_silence(MAX_SILENCE_S if self._answered else START_S)
        elif not self.stopped and time.monotonic() >= self._restart_due_s:
            self._restart()

    def stop(self, *, final: bool, timeout_s: float = STOP_S) -> None:
        """Stop the recorder and close the account.

        The recorder writes the frames under way first.

        Args:
            final: the stream has ended, too.
            timeout_s: time until it is killed.
        """
        died, reached = self._child is None, self._reached()
        if self._child is not None:
            died = self._child.exit_code is not None
            self._child.stop(timeout_s)
            self._hear()
            if self._child.exit_code != 0:
                self._recover()
            self._child = None
        self._take_over_what_is_left(LAST_COUNT_S)  # where the drive hangs, what is not counted is missing
        if not final and not died:
            self._until(reached)
        self._account(final=final or died)
        if self.missing:
            text = f"{self.missing} of {self.recorded + self.missing} frames are not in the recording"
            self._health.event("warning", "recording_incomplete", text)

    def _start(self, more: list[str]) -> bool:
        try:
            self._child = ChildProcess("daemon.recording.recorder", [*self._arguments, *more])
        except InputError as error:
            self._restart_due_s = time.monotonic() + RETRY_INTERVAL_S
            self._health.event("error", "recorder_lost", f"{error}; tried again in {RETRY_INTERVAL_S:g} s")
            return False
        self._heard_s, self._answered, self._refused_streams = time.monotonic(), False, 0
        return True

    def _restart(self) -> None:
        now_s = time.monotonic()
        if len(self._restarts_s) == MAX_RESTARTS and now_s - self._restarts_s[0] < RESTARTS_WITHIN_S:
            self._give_up(f"the recorder died {MAX_RESTARTS + 1} times within {RESTARTS_WITHIN_S:.0f} s")
            return
        said = self._said
        self._recorded_before += said["recorded"]
        self._missing_before += said["missing"]
        self._said = said | {"recorded": 0, "missing": 0, "file": "", "in_file": 0, "refused_streams": 0}
        more = ["--stream", said["stream"], "--next-seq", str(said["next_seq"])] if said["stream"] else self._late
        if self._start(more):
            self._restarts_s.append(now_s)
            text = "the recorder died and was restarted: frames in between are not recorded"
            self._health.event("error", "recorder_lost", text)

    def _hear(self) -> None:
        while self._child is not None and (said := self._child.said()):
            self._heard_s, self._answered = time.monotonic(), True
            if self._silent:
                self._silent = False
                self._health.event("info", "recorder_answers", "the recorder writes again")
            if "error" in said:
                self._give_up(str(said["error"]))
                continue
            self._said = NOTHING | said
            self._account()
            self._tell_of_refused_streams()
            if said["file"]:
                self._health.report(recording=said["file"])

    def _account(self, *, final: bool = False) -> None:
        """Account for the frames since the recording began.

        sent = recorded + missing + under way, by the receiver's count. The recorder's own counts a stream again that
        comes back after another one, where the recorder before it had the beginning.
        """
        said, reached = self._said, self._reached()
        self.recorded = self._recorded_before + said["recorded"]
        final = final or self.stopped
        if final or said["stream"] == reached.stream:
            under_way = 0 if final else max(0, reached.next_seq - said["next_seq"])
            since = reached.sent - under_way - self.recorded
            if self._sent_before is None:
                self._sent_before = since - self._missing_before - said["missing"]
            self.missing = max(self.missing, since - self._sent_before)
        self._health.report(
            recorded_frames=self.recorded, recording_missing=self.missing, recording_fits=said["frames_that_fit"]
        )
        self._warn_of_disk()

    def _warn_of_disk(self) -> None:
        """Report once that the disk will soon be full."""
        fits, rate_hz = self._said["frames_that_fit"], self._health.rate_hz()
        if fits is not None and not self._disk_warned and fits < MIN_DISK_LEFT_S * rate_hz:
            self._disk_warned = True
            text = f"the disk is full in {fits / rate_hz / 60:.0f} minutes: free some space; {fits} more frames fit"
            self._health.event("warning", "recording_disk_low", text)

    def _tell_of_refused_streams(self) -> None:
        """Report streams that began faster than they may be given files."""
        refused = self._said["refused_streams"]
        if refused > self._refused_streams:
            text = f"{refused} streams began too fast to be recorded, and their frames are missing"
            hint = "let one program alone publish, and change settings less often"
            self._health.event("warning", "streams_not_recorded", f"{text}: {hint}")
        self._refused_streams = refused

    def _until(self, reached: Reached) -> None:
        """Close the account of a recording while the stream goes on.

        Frames that came later do not belong to it.

        Args:
            reached: state of the receiver at the end of the recording.
        """
        if self._sent_before is not None:
            self.missing = max(self.missing, reached.sent - self._sent_before - self.recorded)

    def _recover(self) -> None:
        """Start counting what a recorder wrote after its last report."""
        if self._said["file"]:
            self._left, self._heard_s = IndexCount(self._said["file"]), time.monotonic()

    def _take_over_what_is_left(self, timeout_s: float) -> None:
        """Add to the account what a recorder left, once it is counted."""
        left, said = self._left, self._said
        if left is None or not left.finished(timeout_s):
            return
        # Frames passed since the last report = those that are in the file now + those that are missing from it.
        more = left.frames - said["in_file"]
        passed = max(0, left.last_seq + 1 - said["next_seq"])
        self._said = said | {
            "recorded": said["recorded"] + more,
            "missing": said["missing"] + max(0, passed - more),
            "in_file": left.frames,
            "next_seq": max(said["next_seq"], left.last_seq + 1),
        }
        self._left = None
        self._account()

    def _warn_of_silence(self, limit_s: float) -> None:
        """Report once that neither the recorder nor its drive answers."""
        silence_s = self._silence.lasts_s(self._heard_s)
        if not self._silent and silence_s > limit_s:
            self._silent = True
            why = f"the recorder has not answered for {limit_s:.0f} s: check the disk or network drive"
            self._health.event("warning", "recorder_silent", why)

    def _give_up(self, why: str) -> None:
        self.stopped = True
        self._health.report(recording="")
        self._health.event("error", "recording_stopped", f"{why}; the stream goes on")


def _given(camera: CameraSection) -> list[str]:
    """Return the recorder's options for what the user gives of the camera."""
    options = {
        "--pixel-nm": camera.pixel_nm,
        "--offset-adu": camera.offset_adu,
        "--gain": camera.gain_adu_per_electron,
    }
    return [f"{name}={value!r}" for name, value in options.items() if value is not None]
