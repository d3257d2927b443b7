"""Disturbances of a running daemon, for long runs.

Settings at random, a recorder that is killed, stands still or is asked for another recording, limits of files,
thousands of connections, a blocked console, a clock that is set forth and back. Linux only (limits of another process).
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket as sockets
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from fuzz import HOST, Ports

from daemon.control.client import ask
from selfstorm.errors import InputError

DISTURBED_S = 4.0  # duration of a disturbance
CONNECTIONS = 2000
SETTINGS: dict[str, tuple[object, ...]] = {
    "reconstruction.window": (8, 20, 100, 100_000, 0, -1, 2**40, "x", None),
    "reconstruction.stride": (1, 10, 100_000, 0, 1.5, None),
    "reconstruction.scale": (2, 4, 8, 3),
    "reconstruction.estimate": ("density", "emitters", "fused", "all"),
    "reconstruction.region": ([0, 0, 3, 3], [0, 0, 8, 8], [20, 20, 4, 4], [0, 0, 999, 999], None),
    "reconstruction.budget": (0.01, 1.0, 0.0, 1e308),
    "optics.psf_sigma_nm": (10.0, 110.0, 5000.0, 0.0, None),
    "optics.na": (0.001, 0.3, 1.4, None),
    "optics.wavelength_nm": (200.0, 600.0, 2000.0, None),
    "camera.pixel_nm": (1.1, 100.0, 10_000.0, None),
    "camera.gain_adu_per_electron": (1e-9, 1.0, 1e9, None),
}
CLOCK = "clock"  # file with what the daemon's wall clock is ahead, 8 bytes of nanoseconds
CLOCK_STEPS_S = (-86_400.0, -3600.0, -1.0, 1.0, 3600.0, 86_400.0)
DAEMON_WITH_CLOCK = (
    sys.executable,
    "-c",
    f"""
import mmap, struct, time
with open("{CLOCK}", "rb") as file:
    ahead_ns = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
right = time.time_ns
time.time_ns = lambda: right() + struct.unpack("<q", ahead_ns)[0]
time.time = lambda: time.time_ns() / 1e9
from daemon.cli import main
main()
""",
)
GOOD_SETTINGS = {
    "reconstruction.window": 20,
    "reconstruction.stride": 10,
    "reconstruction.scale": 2,
    "reconstruction.estimate": "density",
    "reconstruction.region": None,
    "reconstruction.budget": 1.0,
    "optics.psf_sigma_nm": 110.0,
    "optics.na": None,
    "optics.wavelength_nm": None,
    "camera.pixel_nm": 100.0,
    "camera.gain_adu_per_electron": None,
}


class Console:
    """Reads what the daemon logs, and stops reading now and then."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self.flowing, self.text = pipe, threading.Event(), b""
        self.flowing.set()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while self.flowing.wait() and (more := os.read(self._pipe, 65_536)):
            self.text += more


class Disturbances:
    """Disturbances of the daemon, each for some seconds.

    A thread ends each in time: whoever sends to a daemon without files can be held up for long.

    Attributes:
        control: address of the daemon's control.
        done: how often each was done.
        last: name of the newest.
        recordings: folders that were recorded into.
    """

    def __init__(self, daemon: subprocess.Popen[bytes], ports: Ports, console: Console, clock: Path, seed: int) -> None:
        self._daemon, self._ports, self._console, self._clock = daemon, ports, console, clock
        self._random = random.Random(seed)  # noqa: S311  (no secret is made of it)
        self.control = f"tcp://{HOST}:{ports.control}"
        self.done: Counter[str] = Counter()
        self.last = ""
        self.recordings, self._folder = 1, "raw"  # the folder of the newest
        limits = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
        self._limits = {which: resource.prlimit(daemon.pid, which) for which in limits}
        self._undo: list[tuple[threading.Timer, ExitStack]] = []

    def one(self) -> None:
        """Begin one disturbance."""
        what = self._random.choice(
            (self.settings, self.settings, self.settings, self.kill, self.stop, self.connections)
        )
        if self._random.random() < 0.3:
            what = self._random.choice(
                (self.few_files, self.small_files, self.blocked_console, self.clock, self.another_recording)
            )
        self.last = what.__name__
        self.done[self.last] += 1
        undo = ExitStack()
        with suppress(ProcessLookupError):
            what(undo)
        self._undo.append((threading.Timer(DISTURBED_S, undo.close), undo))
        self._undo[-1][0].start()

    def end(self) -> None:
        """Undo everything, and set the good settings again."""
        for timer, undo in self._undo:
            timer.cancel()
            undo.close()
        self._undo.clear()
        ask(self.control, "set", 10_000, changes=GOOD_SETTINGS)
        self.go_on()

    def go_on(self) -> None:
        """Resume the daemon, which mutated requests may have paused."""
        with suppress(InputError):
            ask(self.control, "resume", 5000)

    def record_again(self) -> None:
        """Begin another recording after one that was given up."""
        with suppress(InputError):
            folder = Path(ask(self.control, "record-start", 5000)["folder"]).name
            self.recordings += folder != self._folder  # it may be the one that runs
            self._folder = folder

    def another_recording(self, undo: ExitStack) -> None:
        """End the recording, whose recorder may hang, and begin another."""
        with suppress(InputError):
            ask(self.control, "record-stop", 5000)
        self.record_again()

    def settings(self, undo: ExitStack) -> None:
        """Set a few settings to anything."""
        names = self._random.sample(list(SETTINGS), self._random.randrange(1, 4))
        with suppress(InputError):
            ask(self.control, "set", 5000, changes={name: self._random.choice(SETTINGS[name]) for name in names})

    def kill(self, undo: ExitStack) -> None:
        """Kill the recorder."""
        if (pid := self._recorder()) is not None:
            os.kill(pid, signal.SIGKILL)

    def stop(self, undo: ExitStack) -> None:
        """Let the recorder hang."""
        if (pid := self._recorder()) is not None:
            os.kill(pid, signal.SIGSTOP)
            undo.callback(_quietly, os.kill, pid, signal.SIGCONT)

    def connections(self, undo: ExitStack) -> None:
        """Hold thousands of connections that say nothing."""
        with suppress(OSError):  # few files may be allowed meanwhile: none is accepted then
            for _ in range(CONNECTIONS):
                port = self._random.choice((self._ports.results, self._ports.control))
                undo.enter_context(sockets.create_connection((HOST, port), timeout=1))

    def few_files(self, undo: ExitStack) -> None:
        """Allow the daemon hardly more open files than it has."""
        used = sum(1 for _ in Path(f"/proc/{self._daemon.pid}/fd").iterdir())
        self._limit(self._daemon.pid, resource.RLIMIT_NOFILE, used + self._random.randrange(6), undo)

    def small_files(self, undo: ExitStack) -> None:
        """Let files of daemon and recorder grow no more, as on a full disk."""
        for pid in (self._daemon.pid, self._recorder()):
            if pid is not None:
                self._limit(pid, resource.RLIMIT_FSIZE, 1_000_000, undo)

    def blocked_console(self, undo: ExitStack) -> None:
        """Read nothing of the log for a while."""
        self._console.flowing.clear()
        undo.callback(self._console.flowing.set)

    def clock(self, undo: ExitStack) -> None:
        """Set the daemon's wall clock forth or back."""
        set_clock(self._clock, self._random.choice(CLOCK_STEPS_S))
        undo.callback(set_clock, self._clock, 0.0)

    def _limit(self, pid: int, which: int, value: int, undo: ExitStack) -> None:
        before = self._limits[which]  # not the limit of now, which another disturbance may have lowered
        resource.prlimit(pid, which, (value, before[1]))
        undo.callback(_quietly, resource.prlimit, pid, which, before)

    def _recorder(self) -> int | None:
        for process in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                parent = int((process / "stat").read_text().rsplit(")")[-1].split()[1])
                if parent == self._daemon.pid and b"daemon.recording" in (process / "cmdline").read_bytes():
                    return int(process.name)
        return None


def set_clock(path: Path, ahead_s: float) -> None:
    """Set the wall clock of a daemon with that file."""
    with path.open("rb+") as file:
        file.write(struct.pack("<q", int(ahead_s * 1e9)))


def _quietly(action: object, *arguments: object) -> None:
    with suppress(OSError):
        action(*arguments)  # type: ignore[operator]
