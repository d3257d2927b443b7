"""What a probe finds, and probes that cannot hang or break the check."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from selfstorm.errors import InputError

Level = Literal["ok", "warning", "problem"]
# Told apart without colour, on every console.
MARKS: dict[Level, str] = {"ok": "   ok     ", "warning": " ! warning", "problem": "XX problem"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how bad, of what, what was found, and what to do about it."""

    level: Level
    of: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        line = f"{MARKS[self.level]}  {self.of:14} {self.what}" + (f" -> {self.hint}" if self.hint else "")
        return " ".join(line.splitlines())


def ok(of: str, what: str) -> Finding:
    return Finding("ok", of, what)


def warning(of: str, what: str, hint: str) -> Finding:
    return Finding("warning", of, what, hint)


def problem(of: str, what: str, hint: str) -> Finding:
    return Finding("problem", of, what, hint)


Probe = Callable[[], Iterator[Finding]]


def bounded(of: str, probe: Probe, timeout_s: float) -> Iterator[Finding]:
    """The findings of a probe, as they come; one that fails, hangs or raises is itself a finding."""
    found: queue.Queue[Finding | None] = queue.Queue()

    def run() -> None:
        try:
            for finding in probe():
                found.put(finding)
        except InputError as error:
            found.put(problem(of, f"{error.where}: {error.what}" if error.where else error.what, error.hint))
        except Exception as error:  # whatever is broken: that is what a check is for
            found.put(problem(of, f"cannot be checked: {type(error).__name__}: {error}", "please report it"))
        found.put(None)

    threading.Thread(target=run, name=f"check {of}", daemon=True).start()
    while True:
        try:
            finding = found.get(timeout=timeout_s)
        except queue.Empty:
            yield problem(of, f"no answer within {timeout_s:g} s", "something on this machine hangs; restart it")
            return
        if finding is None:
            return
        yield finding
