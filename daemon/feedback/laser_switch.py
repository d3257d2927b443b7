"""Laser as the feedback loop sees it: orders to a process that owns it."""

from __future__ import annotations

import time

from daemon.feedback.settings import FeedbackSettings
from daemon.transport.child_process import ChildProcess, wait_said
from selfstorm.errors import InputError

MODULE = "daemon.feedback.laser_process"
START_S, ANSWER_S, STOP_S = 30.0, 2.0, 7.0
SWITCH_OFF = "SWITCH THE LASER OFF BY HAND"


class LaserSwitch:
    """Starts the process that owns the laser, and renews its orders.

    Args:
        settings: laser and limits.

    Attributes:
        value: of the laser, as last reported.

    Raises:
        InputError: the laser cannot be opened, or does not take its safe value.
    """

    def __init__(self, settings: FeedbackSettings) -> None:
        self._settings, self.value, self._safe = settings, settings.safe, False
        self._ordered_s: float | None = None
        self._failed = ""
        self._child = self._start()

    def order(self, value: float) -> None:
        """Set the laser, or keep it where it is, for MAX_SILENCE_S.

        Raises:
            InputError: the process has ended, or the laser does not answer.
        """
        self._child.tell(value=value)
        self._listen()
        now_s = time.monotonic()
        if value == self.value:
            self._ordered_s = None
        elif self._ordered_s is None:
            self._ordered_s = now_s
        elif now_s - self._ordered_s > ANSWER_S:
            raise InputError(f"the laser has not answered for {ANSWER_S:g} s", where=self._settings.laser)
        if self._child.exit_code is not None:
            raise InputError(self._failed or f"the laser's process {self._child.ending}", where=self._settings.laser)

    def close(self) -> None:
        """Set the safe value.

        Where the process was killed, another one does it.

        Raises:
            InputError: the laser could not be confirmed to be at its safe value.
        """
        self._child.stop(STOP_S)
        self._listen()
        if self._safe or self._child.exit_code == 0:
            return
        try:
            self._child = self._start()  # the safe value is the first that it sets
        except InputError as error:
            raise InputError(f"the laser may still be on: {error}", hint=SWITCH_OFF) from None
        self._child.stop(STOP_S)

    def _start(self) -> ChildProcess:
        """Start the process and wait until it has set the safe value."""
        child = ChildProcess(MODULE, [self._settings.model_dump_json()])
        said = wait_said(child, START_S)
        if said is None:
            said = {"failed": f"the laser's process {child.ending or 'does not answer'}"}
        if "failed" in said:
            child.stop(0)
            raise InputError(str(said["failed"]), hint="correct the settings of the laser")
        return child

    def _listen(self) -> None:
        while said := self._child.said():
            self.value = float(said.get("value", self.value))
            self._safe = self._safe or "safe" in said
            self._failed = str(said.get("failed", self._failed))
