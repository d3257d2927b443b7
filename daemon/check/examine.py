"""`selfstorm-daemon check`: run all probes, each with a time limit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from daemon.check.camera import Seen, camera
from daemon.check.disk import folder
from daemon.check.endpoints import endpoints, running
from daemon.check.probes import bounded, ok
from daemon.check.software import device, packages, python
from daemon.check.speed import SPEED_S, speed
from daemon.config import Config, load_defaults
from daemon.run_target import configuration
from daemon.sources.kinds import resolve
from selfstorm.metrics.finding import Finding

QUICK_S, DEVICE_S, CAMERA_S, DISK_S = 30.0, 180.0, 150.0, 60.0  # for a computer that is busy


def examine(target: str | None, overrides: dict[str, Any]) -> Iterator[Finding]:
    """Check what `run` would be given, or the defaults, on this machine."""
    yield from bounded("python", python, QUICK_S)
    loaded: list[Config] = []
    yield from bounded("configuration", lambda: _configuration(target, overrides, loaded), QUICK_S)
    config = loaded[0] if loaded else Config()
    yield from bounded("packages", lambda: packages(config), QUICK_S)
    yield from bounded("device", lambda: device(config), DEVICE_S)
    status = running(config.server)
    yield from bounded("ports", lambda: endpoints(config.server, status), QUICK_S)
    if not loaded:
        return
    if config.source.kind.precheck:
        precheck, passed = resolve(config.source.kind.precheck), True
        for finding in bounded("Micro-Manager", lambda: precheck(config.source), QUICK_S):
            yield finding
            passed = passed and finding.level != "bad"
        if not passed:
            return
    seen = Seen()
    yield from bounded("camera", lambda: camera(config, seen, status), CAMERA_S)
    if status is None:
        yield from bounded("speed", lambda: speed(config, seen), SPEED_S)
    if config.record is not None:
        record = config.record
        yield from bounded("record", lambda: folder("record", record, seen.bytes_per_s), DISK_S)
    for name in ("save", "accumulated", "localizations"):
        written: Path | None = getattr(config, name)
        if written is not None:
            yield from bounded(name, partial(folder, name, written.parent, 0.0), DISK_S)


def _configuration(target: str | None, overrides: dict[str, Any], loaded: list[Config]) -> Iterator[Finding]:
    if target is None and not any(overrides.values()):
        loaded.append(Config())
        yield ok("configuration", "none given: the simulated camera with default settings")
        return
    config = load_defaults(overrides, "the options") if target is None else configuration(target, overrides)
    loaded.append(config)
    yield ok("configuration", f"{target or 'default settings'}: {config.source.uri}")
