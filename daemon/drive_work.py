"""Work on a drive that may hang, with a bound on the wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from selfstorm.errors import InputError

MAX_DRIVE_S = 0.3  # control answers within half a second
STEP_S = 0.02  # of the wait: a machine that stands still, and not the drive, uses up one
Result = TypeVar("Result")


class DriveHangsError(InputError):
    """A drive does not answer in time."""


class DriveWork:
    """Does one piece of work at a time, in a thread of its own.

    A network drive can hang for minutes, and control must not.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], Result], where: Path) -> Result:
        """Do a piece of work and return its result.

        Args:
            work: uses the drive.
            where: place on the drive, for the error.

        Raises:
            DriveHangsError: the drive does not answer, now or still; the work may be done later, and its result is
                lost.
        """
        done: list[Result] = []
        failed: list[Exception] = []

        def run() -> None:
            try:
                done.append(work())
            except Exception as error:
                failed.append(error)

        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=run, name=self._name, daemon=True)
            self._thread.start()
            for _ in range(max(1, round(MAX_DRIVE_S / STEP_S))):
                self._thread.join(STEP_S)
        if not done and not failed:  # this work, or an earlier one that has only just ended
            raise DriveHangsError("the drive does not answer", where=where, hint="check it, and ask again")
        if failed:
            raise failed[0]
        return done[0]
