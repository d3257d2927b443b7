"""Supervision of the recorder: takes over its counts, restarts it when it died, and reports that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daemon.health import Health
from daemon.transport.child_process import ChildProcess

MAX_RESTARTS = 6


class RecorderSupervisor:
    """The recorder process: what it says goes into the account; when it dies it goes on in a new file.

    late: the first stream may have begun long ago. stopped: it cannot record any more.
    """

    def __init__(
        self, endpoint: str, folder: Path, health: Health, *, late: bool = False, key: Path | None = None
    ) -> None:
        self._arguments = ["--connect", endpoint, "--folder", str(folder)]
        self._arguments += ["--key", str(key)] if key is not None else []
        self._health = health
        self._child = ChildProcess("daemon.recording.recorder", [*self._arguments, *(["--late"] if late else [])])
        self._said: dict[str, Any] = {"recorded": 0, "missing": 0, "stream": "", "next_seq": 0}
        self._recorded_before = self._missing_before = self._restarts = 0
        self.stopped = False

    def check(self) -> None:
        """Take over what it says; restart it when it died."""
        self._hear()
        if self._child.exit_code is None:
            return
        self._child.stop(0.5)
        self._hear()
        if self.stopped:
            return
        if self._restarts >= MAX_RESTARTS:
            self._give_up(f"the recorder died {MAX_RESTARTS + 1} times")
            return
        said, self._restarts = self._said, self._restarts + 1
        self._recorded_before += said["recorded"]
        self._missing_before += said["missing"]
        self._said = said | {"recorded": 0, "missing": 0}
        so_far = ["--stream", said["stream"], "--next-seq", str(said["next_seq"])]
        self._child = ChildProcess("daemon.recording.recorder", [*self._arguments, *so_far])
        self._health.event(
            "error",
            "recorder_lost",
            "the recorder died and was restarted: frames in between are not recorded",
        )

    def stop(self) -> None:
        """Let it write what is under way, and wait for it."""
        self._child.stop()
        self._hear()

    def _hear(self) -> None:
        while said := self._child.said():
            if "error" in said:
                self._give_up(said["error"])
                continue
            self._said = said
            self._health.report(
                recorded_frames=self._recorded_before + said["recorded"],
                recording_missing=self._missing_before + said["missing"],
            )
            if said["file"]:
                self._health.report(recording=said["file"])

    def _give_up(self, why: str) -> None:
        self.stopped = True
        self._health.report(recording="")
        self._health.event("error", "recording_stopped", f"{why}; the stream goes on")
