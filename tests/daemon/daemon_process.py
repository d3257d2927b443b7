"""A real daemon in a process of its own, and what a test needs to watch it: status, results, children."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import chdir, closing, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import zmq
from ports import free_ports

import daemon.cli
import selfstorm.cli
from daemon.control.client import ask
from daemon.protocol.codec import Received, decode
from daemon.protocol.messages import Status
from daemon.transport.client_socket import Connection
from selfstorm.errors import InputError
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

DAEMON = (sys.executable, "-c", "from daemon.cli import main; main()")
SELFSTORM = (sys.executable, "-c", "from selfstorm.cli import main; main()")
DEADLINE_S = 45.0
POLL_S = 0.02

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has neither these signals nor ps")


def wait_until(condition, timeout_s=DEADLINE_S):
    """The condition's first true value; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s:g} s: {condition.__name__}")
        time.sleep(POLL_S)
    return value


def as_toml(settings, path=()):
    """Nested dictionaries as TOML; JSON's scalars are TOML's."""
    lines = [f"[{'.'.join(path)}]"] if path else []
    lines += [f"{json.dumps(k)} = {json.dumps(v)}" for k, v in settings.items() if not isinstance(v, dict)]
    tables = [as_toml(v, (*path, k)) for k, v in settings.items() if isinstance(v, dict)]
    return "\n".join([*lines, *tables])


SCENE = {"height": 32, "width": 32, "filaments": 4, "seed": 3}


def mean_frame(first, count):
    """(H, W) float32: the mean of these frames of the scene, whoever films it."""
    frames = [pixels for pixels, _ in simulate(Scene(**SCENE), frames=count, start_frame=first)]
    return np.mean(frames, 0, dtype=np.float64).astype(np.float32)


def account_closes(status):
    """Whether every frame and window of a status is accounted for."""
    frames, windows = status.frames, status.windows
    return (
        frames.sent == frames.received + frames.missing
        and frames.received == frames.used + frames.rejected
        and windows.complete >= windows.published + windows.skipped + windows.failed
    )


def simulated(*, rate_hz=60, window=20, stride=20, **settings):
    """A small live cell, and a reconstruction that follows it on a busy core."""
    return {
        "source": {"uri": "simulate:", "rate_hz": rate_hz, "simulate": dict(SCENE)},  # tests change it
        "optics": {"psf_sigma_nm": 110.0},
        "reconstruction": {
            "window": window,
            "stride": stride,
            "scale": 2,
            "estimate": "density",
            "quality": "fast",
            "device": "cpu",
        },
        **settings,
    }


class Daemon:
    """`selfstorm-daemon run` on its own ports; leaving the context kills it and whatever it started.

    ring: the keyring where it listens beyond what counts as loopback; 127.0.0.2 does not, and no other machine has it.
    program: what is run.
    """

    def __init__(self, folder, settings, *flags, ring=None, program=DAEMON):
        self._program = program
        results, control = free_ports(2)
        host, self.key = ("127.0.0.2", ring.own_key()) if ring else ("127.0.0.1", None)
        self.results, self.control = f"tcp://{host}:{results}", f"tcp://{host}:{control}"
        self.config = folder / "daemon.toml"
        server = {"results": self.results, "control": self.control, **settings.get("server", {})}
        server |= {"keys": str(ring.folder)} if ring else {}
        self.config.write_text(as_toml({**settings, "server": server}), encoding="utf-8")
        self._folder, self._flags = folder, flags

    def __enter__(self):
        with (self._folder / "out.txt").open("w") as out, (self._folder / "err.txt").open("w") as err:
            self._process = subprocess.Popen(
                [*self._program, "run", str(self.config), *map(str, self._flags)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self._folder,
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        return self

    def __exit__(self, *_):
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    @property
    def address(self):
        """As for --daemon."""
        return f"{self.results.removeprefix('tcp://')},{self.control.rpartition(':')[2]}"

    @property
    def pid(self):
        return self._process.pid

    @property
    def out(self):
        return (self._folder / "out.txt").read_text()

    @property
    def err(self):
        return (self._folder / "err.txt").read_text()

    def status(self):
        return Status.model_validate(ask(self.control, "status", timeout_ms=10_000, key=self.key))

    def started(self):
        """Itself, once it answers."""
        wait_until(self._answers)
        return self

    def _answers(self):
        if self._process.poll() is not None:
            pytest.fail(f"the daemon ended with {self._process.returncode}: {self.err}")
        try:
            return bool(ask(self.control, "status", timeout_ms=200, key=self.key))
        except InputError:
            return False

    def published(self, count):
        """The status once so many windows were published."""

        def enough():
            status = self.status()
            if status.windows.failed:
                pytest.fail(f"a window failed: {self.err}")
            return status if status.windows.published >= count else None

        return wait_until(enough)

    def exit_code(self):
        """Its exit code, once it has ended by itself."""
        return self._process.wait(DEADLINE_S)

    def send(self, number, *, group=False):
        """Send a signal to the daemon alone, or to all of its processes, as a terminal does."""
        (os.killpg if group else os.kill)(self.pid, number)

    def child(self, module):
        """Process id of the child that runs this module, once there is one."""

        def found():
            return next((p for p, parent, what in processes() if parent == self.pid and module in what), None)

        return wait_until(found)


def processes():
    """(pid, parent's pid, command) of all processes that still run."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="],  # noqa: S607  (where ps is differs)
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.split(None, 3) for line in listing.stdout.splitlines())
    return [(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")]


def runs(pid):
    return any(pid == other for other, _, _ in processes())


class Results:
    """A viewer without a window: all that is published, as it came.

    Attributes:
        fault: why it is refused, once all that came before has been read.
    """

    def __init__(self, endpoint, key=None):
        self._endpoint, self._key = endpoint, key
        self.fault = ""
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.all: list[Received] = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._halt.set()
        self._thread.join()

    def of(self, kind):
        return [received for received in list(self.all) if received.kind == kind]

    def pictures(self, kind):
        """Pictures of a kind, once each: who comes late has everybody told the last ones again."""
        once = {(one.message.stream, one.message.window): one for one in self.of(kind)}
        return list(once.values())

    def messages(self, kind):
        return [received.message for received in self.of(kind)]

    def events(self, code):
        """Events of a kind, once each: who comes late has everybody told the last ones again."""
        once = {(event.run, event.number): event for event in self.messages("event") if event.code == code}
        return list(once.values())

    def event(self, code, before=0):
        """The newest event of that code, once there are more than `before`."""

        def told():
            return self.events(code)[before:]

        return wait_until(told)[-1]

    def has(self, *kinds):
        """The condition that one of each kind has come."""

        def came():
            return all(self.of(kind) for kind in kinds)

        return came

    def has_ended(self):
        return any(status.state == "ended" for status in self.messages("status"))

    def more(self, kind, count):
        """Wait until `count` more of a kind have come than there are now; of pictures, of as many more windows."""
        once = self.pictures if kind.startswith(("sr.", "raw.")) else self.of
        enough = len(once(kind)) + count

        def came():
            return len(once(kind)) >= enough

        wait_until(came)

    def _listen(self):
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger = 0
            socket.subscribe(b"")
            with closing(Connection(socket, self._endpoint, self._key)) as connection:
                while not self._halt.is_set():
                    if connection.poll(50):
                        self.all.append(decode(socket.recv_multipart()))
                    else:
                        self.fault = connection.fault


def command(line, cwd=None):
    """A command as a user runs it, to its end."""
    line = [str(word) for word in line]
    return subprocess.run(line, capture_output=True, text=True, timeout=2 * DEADLINE_S, check=False, cwd=cwd)


def within(line, capfd, cwd="."):
    """The same as command(), in this process: what is printed, by child processes too, and the exit code."""
    main = {DAEMON: daemon.cli.main, SELFSTORM: selfstorm.cli.main}[tuple(line[:3])]
    capfd.readouterr()
    with (
        patch.object(sys, "argv", ["-c", *map(str, line[3:])]),
        patch("daemon.cli.lower_priority"),  # for good: all later tests would be slower
        chdir(cwd),
        pytest.raises(SystemExit) as left,
    ):
        main()
    return subprocess.CompletedProcess(line, left.value.code or 0, *capfd.readouterr())


def write_config(path: Path, settings) -> Path:
    path.write_text(as_toml(settings), encoding="utf-8")
    return path
