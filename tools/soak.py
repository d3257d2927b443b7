"""Run for an hour with everything on, as a laboratory does.

The account must explain every frame, and no process may grow.

    python tools/soak.py [--minutes 60] [--rate 50] [--side 48]

A simulated camera is recorded, its pictures are saved, the model is kept as a checkpoint, and two viewers show the
pictures (offscreen). Once a minute a row of the table is printed. At the end the memory of every process is fitted
with a line, from the time when it has warmed up. Viewers keep the last windows, up to 1 GB of them: that much they may
grow. Linux only (memory of another process).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
import numpy as np
from fuzz import DAEMON, HOST, Ports, memory_mb

from client.picture.pictures import HEADER_BYTES
from daemon.control.client import ControlClient, ask
from daemon.protocol.messages import Status
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile

VIEWER = (sys.executable, "-c", "from client.cli import main; main()")
VIEWERS = 2
SAMPLE_S = 5.0
ROW_S = 60.0
WARM_UP = 1 / 6  # share of the time before the memory is fitted
SCALE = 4  # of the pictures, by default
MAX_GROWTH_MB = 20.0  # from the end of the warm-up to the end
START_S, STOP_S = 120, 120
COLUMNS = ("minute", "sent", "missing", "recorded", "not rec.", "windows", "published", "skipped", "failed")


class MemorySamples:
    """Memory of every process of the run, over time."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, float]]] = {}

    def sample(self, seconds: float, pids: dict[str, int]) -> None:
        """Read the memory of these processes.

        Args:
            seconds: since the start.
            pids: process ids by name; a process that has ended has no memory.
        """
        for name, pid in pids.items():
            with suppress(OSError, IndexError):
                self._samples.setdefault(name, []).append((seconds, memory_mb(pid)))

    def newest(self, name: str) -> float:
        """Return the last sample of a process, in MB; 0 where there is none."""
        return self._samples.get(name, [(0.0, 0.0)])[-1][1]

    def growth(self, from_s: float) -> dict[str, tuple[float, float, float]]:
        """Fit a line to the memory of each process.

        Args:
            from_s: end of the warm-up.

        Returns:
            (MB at the end, MB an hour, MB of growth along the line) by process.
        """
        lines = {}
        for name, samples in self._samples.items():
            seconds, megabytes = np.array([sample for sample in samples if sample[0] >= from_s]).reshape(-1, 2).T
            if len(seconds) < 2:
                continue
            slope = float(np.polyfit(seconds, megabytes, 1)[0])
            lines[name] = (float(megabytes[-1]), slope * 3600, slope * float(seconds[-1] - seconds[0]))
        return lines


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--rate", "rate_hz", default=50.0, show_default=True, help="Frames a second.")
@click.option("--side", default=48, show_default=True, help="Pixels along each side of the camera's field.")
def main(minutes: float, rate_hz: float, side: int) -> None:
    """Run everything for a while; exit code 1 if there is a fault."""
    ports, memory, faults = Ports(), MemorySamples(), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "soak.toml").write_text(_config(ports, rate_hz, side), encoding="utf-8")
        log = stack.enter_context((folder / "log.txt").open("w"))
        outputs = ["--record", "raw", "--save", "out.ome.tif", "--checkpoint", "learned.safetensors"]
        daemon = _start([*DAEMON, "run", "soak.toml", *outputs], folder, log, stack)
        address = f"tcp://{HOST}:{ports.control}"
        _wait_until_it_answers(address)
        viewer = [*VIEWER, "--daemon", f"{HOST}:{ports.results},{ports.control}"]
        viewers = [_start(viewer, folder, log, stack) for _ in range(VIEWERS)]
        with ControlClient(address, 20_000) as control:
            status = _watch(control, daemon, viewers, memory, minutes)
            _stop(control, daemon, faults)
        faults += [f"viewer {number} ended" for number, one in enumerate(viewers) if one.poll() is not None]
        faults += _check(status, folder)
    kept_mb = 0.0 if status is None else status.windows.published * _window_bytes(side) / 2**20
    print(f"{'process':>10} {'MB':>8} {'MB/h':>8} {'growth':>8}; {kept_mb:.0f} MB of windows in each viewer")
    for name, (megabytes, slope, growth_mb) in memory.growth(60 * minutes * WARM_UP).items():
        print(f"{name:>10} {megabytes:8.0f} {slope:+8.1f} {growth_mb:+8.1f}")
        if growth_mb > MAX_GROWTH_MB + (kept_mb if name.startswith("viewer") else 0.0):
            faults.append(f"{name}: memory grew by {growth_mb:.0f} MB")
    for fault in faults:
        print(f"FAULT {fault}")
    sys.exit(1 if faults else 0)


def _window_bytes(side: int) -> int:
    """Return the bytes that a viewer keeps of a window with all its maps."""
    return 4 * side * side * (SCALE * SCALE + 3) + 4 * HEADER_BYTES


def _config(ports: Ports, rate_hz: float, side: int) -> str:
    return f"""
        [source]
        uri = "simulate:"
        rate_hz = {rate_hz}
        [source.simulate]
        height = {side}
        width = {side}
        filaments = 6
        seed = 3
        [reconstruction]
        window = 100
        stride = 50
        device = "cpu"
        [server]
        results = "tcp://{HOST}:{ports.results}"
        control = "tcp://{HOST}:{ports.control}"
    """.replace("        ", "")


def _start(line: list[str], folder: Path, log: object, stack: ExitStack) -> subprocess.Popen[bytes]:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, env=environment)  # type: ignore[call-overload]
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process  # type: ignore[no-any-return]


def _wait_until_it_answers(address: str) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            ask(address, "status", 1000)
            return
        except InputError:
            if time.monotonic() > deadline_s:
                raise


def _watch(
    control: ControlClient,
    daemon: subprocess.Popen[bytes],
    viewers: list[subprocess.Popen[bytes]],
    memory: MemorySamples,
    minutes: float,
) -> Status | None:
    """Sample memory and account until the time is over.

    It ends before the time where a process does.

    Returns:
        The last account; None where the daemon ended before.
    """
    begun_s = time.monotonic()
    row_due_s, status, columns = 0.0, None, None
    while (seconds := time.monotonic() - begun_s) < 60 * minutes and all(
        one.poll() is None for one in (daemon, *viewers)
    ):
        pids = {"daemon": daemon.pid, **_children(daemon.pid)}
        pids |= {f"viewer {number}": one.pid for number, one in enumerate(viewers)}
        memory.sample(seconds, pids)
        status = Status.model_validate(control.ask("status"))
        if seconds >= row_due_s:
            if columns != (columns := [*COLUMNS, *pids]):
                print(" ".join(f"{name:>9}" for name in columns))
            row_due_s += ROW_S
            print(
                " ".join(f"{value:9.0f}" for value in (*_row(seconds, status), *map(memory.newest, pids))), flush=True
            )
        time.sleep(SAMPLE_S)
    return status if daemon.poll() is None else None


def _row(seconds: float, status: Status) -> tuple[float, ...]:
    frames, windows = status.frames, status.windows
    counts = (frames.sent, frames.missing, status.recorded_frames, status.recording_missing)
    return (seconds / 60, *counts, windows.complete, windows.published, windows.skipped, windows.failed)


def _children(pid: int) -> dict[str, int]:
    """Return the process ids of the camera process and the recorder."""
    found = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int((process / "stat").read_text().rsplit(")")[-1].split()[1]) == pid:
                line = (process / "cmdline").read_bytes()
                found["recorder" if b"daemon.recording" in line else "camera"] = int(process.name)
    return found


def _stop(control: ControlClient, daemon: subprocess.Popen[bytes], faults: list[str]) -> None:
    if daemon.poll() is not None:
        faults.append(f"the daemon ended with {daemon.returncode}")
        return
    control.ask("stop")
    try:
        if code := daemon.wait(STOP_S):
            faults.append(f"the daemon ended with {code}")
    except subprocess.TimeoutExpired:
        faults.append(f"the daemon did not stop within {STOP_S} s")


def _check(status: Status | None, folder: Path) -> list[str]:
    """Return the faults of the final account and of the files.

    The final account is the one that the daemon prints, for frames came after the last status.
    """
    text = (folder / "log.txt").read_text(errors="replace")
    faults = [f"a traceback: {text[text.index('Traceback') :][:2000]}"] if "Traceback" in text else []
    print("\n".join(text.splitlines()[-6:]))
    if status is None:
        return faults
    frames, windows = status.frames, status.windows
    if frames.sent != frames.received + frames.missing or frames.received != frames.used + frames.rejected:
        faults.append(f"the account of frames does not close: {frames}")
    if frames.missing or frames.lost_at_source:
        faults.append(f"frames were lost: {frames}")
    if windows.complete - windows.published - windows.skipped - windows.failed not in range(4):
        faults.append(f"the account of windows does not close: {windows}")
    recorded = 0
    for path in (folder / "raw").glob("*.tif"):
        with MovieFile(path) as movie:
            recorded += movie.length
    print(f"{recorded} frames can be read from the recording; {status.recording_missing} are missing in it")
    if recorded < frames.sent - status.recording_missing:
        faults.append(f"{frames.sent} frames were sent, and {recorded} can be read")
    return faults


if __name__ == "__main__":
    main()
