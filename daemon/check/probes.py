"""Probes of `check`: each yields findings, none can hang the check."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from selfstorm.errors import InputError
from selfstorm.metrics.finding import Finding, Level

# Distinguishable without colour, on every console.
MARKS: dict[Level, str] = {"none": "          ", "good": "   ok     ", "warning": " ! warning", "bad": "XX problem"}

Probe = Callable[[], Iterator[Finding]]


def ok(name: str, value: str) -> Finding:
    """Report that something works."""
    return Finding(name, value, "good")


def warning(name: str, value: str, hint: str) -> Finding:
    """Report what may cause trouble."""
    return Finding(name, value, "warning", hint=hint)


def problem(name: str, value: str, hint: str) -> Finding:
    """Report what keeps the configuration from working."""
    return Finding(name, value, "bad", hint=hint)


def line(finding: Finding) -> str:
    """Write a finding on one line."""
    text = f"{MARKS[finding.level]}  {finding.name:14} {finding.value}"
    return " ".join((text + (f" -> {finding.hint}" if finding.hint else "")).splitlines())


def bounded(name: str, probe: Probe, timeout_s: float) -> Iterator[Finding]:
    """Yield the findings of a probe; one that fails or hangs is a finding."""
    found: queue.Queue[Finding | None] = queue.Queue()

    def run() -> None:
        try:
            for finding in probe():
                found.put(finding)
        except InputError as error:
            for one in error.each:
                found.put(problem(name, f"{one.where}: {one.what}" if one.where else one.what, one.hint))
        except Exception as error:  # an installation or a device can be broken in any way
            found.put(problem(name, f"cannot be checked: {type(error).__name__}: {error}", "please report this"))
        found.put(None)

    threading.Thread(target=run, name=f"check {name}", daemon=True).start()
    while True:
        try:
            finding = found.get(timeout=timeout_s)
        except queue.Empty:
            yield problem(name, f"no answer within {timeout_s:g} s", "something on this machine hangs; restart it")
            return
        if finding is None:
            return
        yield finding
