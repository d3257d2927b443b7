"""Fuzzing: mutated messages into every socket of a live daemon.

The account must close, memory must not grow, and pictures must go on.

    python tools/fuzz.py --messages 1000000 [--seed 1]

The daemon listens to a frame stream of ours, in which a good movie runs between the mutated messages. Control gets
mutated requests, the results' socket what no viewer sends, all ports bytes that are no ZeroMQ; and the camera process
of a `selfstorm-daemon publish` the same. Every message comes from a seeded generator. Linux only (memory).
"""

from __future__ import annotations

import socket as sockets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click
import msgpack
import numpy as np
import zmq
from mutations import GOOD, SIDE, VERBS, VERSION, Mutator

from daemon.control.client import ask
from daemon.protocol.messages import Status
from selfstorm.errors import InputError

DAEMON = (sys.executable, "-c", "from daemon.cli import main; main()")
EVERY, WARM_UP = 200, 0.2
DEALERS = 60  # each may ask 50 times a second
MAX_GROWTH_MB = 40.0  # buffers that fill up; a leak of 40 bytes a message is seen in a million
HANGS_MS = 60_000  # a socket that accepts no message for so long
HOST = "127.0.0.1"
TARGETS = {"frames": 45, "control": 40, "results": 7, "camera": 4, "tcp": 4}  # share of the messages


class Ports:
    """Free ports on this machine."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            probes = [stack.enter_context(sockets.socket()) for _ in range(5)]
            for probe in probes:
                probe.bind((HOST, 0))
            ports = [probe.getsockname()[1] for probe in probes]
        self.frames, self.results, self.control, self.metrics, self.camera = ports

    def config(self) -> str:
        """Write the daemon's configuration."""
        return f"""
            [source]
            uri = "zmq:{HOST}:{self.frames}"
            [camera]
            pixel_nm = 100.0
            [optics]
            psf_sigma_nm = 110.0
            [reconstruction]
            window = 20
            stride = 10
            scale = 2
            estimate = "density"
            device = "cpu"
            [server]
            results = "tcp://{HOST}:{self.results}"
            control = "tcp://{HOST}:{self.control}"
            metrics_port = {self.metrics}
        """.replace("            ", "")


class GoodFrames:
    """Good frames between the mutated messages, stream after stream.

    A mutated message may take over the name of a stream, so a new stream begins now and then.

    Attributes:
        sent: number of frames sent.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket, self._streams, self._seq, self.sent = socket, 0, 0, 0
        self._pixels = np.random.default_rng(0).poisson(100, (20, SIDE, SIDE)).astype("<u2")

    def begin(self) -> None:
        """Begin another stream."""
        self._streams, self._seq = self._streams + 1, 0
        self._info = {**GOOD["info"], "stream": f"good-stream-{self._streams}", "v": VERSION}
        self._send("info", self._info)

    def frames(self, count: int) -> None:
        """Send frames and a heartbeat.

        Args:
            count: number of frames.
        """
        head = {"v": VERSION, "stream": self._info["stream"], "shape": [SIDE, SIDE], "dtype": "uint16"}
        for _ in range(count):
            now = {"seq": self._seq, "number": self._seq, "sent_unix_ns": time.time_ns()}
            self._send("frame", head | now, self._pixels[self._seq % 20].tobytes())
            self._seq, self.sent = self._seq + 1, self.sent + 1
        self._send("info", self._info)  # as PROTOCOL.md asks of a publisher: it may have been replaced meanwhile
        self._send("heartbeat", {**head, "next_seq": self._seq, "state": "running"})

    def _send(self, kind: str, header: dict[str, Any], *pixels: bytes) -> None:
        self._socket.send_multipart([kind.encode(), msgpack.packb(header), *pixels])


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


class Attack:
    """All sockets of one daemon and one camera process.

    Attributes:
        sent: messages by socket.
    """

    def __init__(self, ports: Ports, seed: int, stack: ExitStack, verbs: tuple[str, ...] = VERBS) -> None:
        self.sent: Counter[str] = Counter()
        self._ports, self._mutator = ports, Mutator(seed, verbs)
        self._random = self._mutator.random
        context = stack.enter_context(zmq.Context())
        context.linger = 0
        context.sndtimeo = HANGS_MS
        self.frames = stack.enter_context(context.socket(zmq.XPUB))
        self.frames.setsockopt(zmq.XPUB_NODROP, 1)  # wait for the daemon, lose nothing
        self.frames.bind(f"tcp://{HOST}:{ports.frames}")
        self._dealers = [stack.enter_context(context.socket(zmq.DEALER)) for _ in range(DEALERS)]
        self._upstream = {name: stack.enter_context(context.socket(zmq.XSUB)) for name in ("results", "camera")}
        self._upstream["results"].connect(f"tcp://{HOST}:{ports.results}")
        self._upstream["camera"].connect(f"tcp://{HOST}:{ports.camera}")
        for dealer in self._dealers:
            dealer.connect(f"tcp://{HOST}:{ports.control}")
        self._do: dict[str, Callable[[], None]] = {
            "frames": self._to_frames,
            "control": self._to_control,
            "results": lambda: self._to_upstream("results"),
            "camera": lambda: self._to_upstream("camera"),
            "tcp": self._to_tcp,
        }

    def one(self) -> None:
        """Send one message into one of the sockets."""
        [target] = self._random.choices(list(TARGETS), list(TARGETS.values()))
        self.sent[target] += 1
        self._do[target]()

    def _to_frames(self) -> None:
        self.frames.send_multipart(self._mutator.message(("frame", "info", "heartbeat", "status", "sr.refined")))

    def _to_control(self) -> None:
        dealer = self._random.choice(self._dealers)
        while dealer.poll(0):
            dealer.recv_multipart()
        dealer.send_multipart(self._mutator.message(("request", "request", "reply", "event")))

    def _to_upstream(self, name: str) -> None:
        socket, parts = self._upstream[name], self._mutator.message(tuple(GOOD))
        while socket.poll(0):
            socket.recv_multipart()
        word = self._random.choice((b"\x01", b"\x00", b"", b"\x02")) + self._random.choice(parts)[:64]
        socket.send(word)

    def _to_tcp(self) -> None:
        ports = self._ports
        # Few to the metrics: their server takes a tenth of a second for each.
        [port] = self._random.choices((ports.results, ports.control, ports.camera, ports.metrics), (33, 33, 33, 1))
        greeting = self._random.choice((b"", b"\xff" + bytes(8) + b"\x7f", b"GET / HTTP/1.1\r\n\r\n"))
        with suppress(OSError), sockets.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(greeting + self._random.randbytes(self._random.randrange(200)))


@click.command()
@click.option("--messages", default=1_000_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(messages: int, seed: int) -> None:
    """Fuzz a daemon and report every fault; exit code 1 if there is one."""
    ports = Ports()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "fuzz.toml").write_text(ports.config(), encoding="utf-8")
        attack = Attack(ports, seed, stack)
        log = stack.enter_context((folder / "log.txt").open("w"))
        run = [*DAEMON, "run", "fuzz.toml"]
        publish = [*DAEMON, "publish", "simulate:", "--bind", f"tcp://{HOST}:{ports.camera}"]
        processes = [subprocess.Popen(line, cwd=folder, stdout=log, stderr=log) for line in (run, publish)]
        for process in processes:
            stack.callback(process.wait)
            stack.callback(process.kill)
        faults = _fuzz(attack, GoodFrames(attack.frames), ports, processes, messages)
        text = (folder / "log.txt").read_text(errors="replace")
        if "Traceback" in text:
            faults.append("a traceback: " + text[text.index("Traceback") :][:2000])
        if _ended(processes):
            faults.append(f"the log ends with: {text[-2000:]}")
    for fault in faults:
        print(f"FAULT {fault}")
    sys.exit(1 if faults else 0)


def _fuzz(
    attack: Attack, movie: GoodFrames, ports: Ports, processes: list[subprocess.Popen[bytes]], messages: int
) -> list[str]:
    control = f"tcp://{HOST}:{ports.control}"
    faults: list[str] = []
    if not attack.frames.poll(60_000):
        return ["the daemon did not start"]
    memory_at_first: list[float] = []
    _see_pictures(movie, control, faults)  # what the first picture takes is no leak
    started_s = time.monotonic()
    for number in range(messages):
        if number % EVERY == 0:
            if ended := _ended(processes):
                return [*faults, f"{ended} within {number} messages"]
            movie.begin()
            movie.frames(5)
        if number == int(messages * WARM_UP):
            memory_at_first = [memory_mb(process.pid) for process in processes]
        if number % max(messages // 20, 1) == 0:
            status = _status(control, faults)
            memory = ", ".join(f"{memory_mb(process.pid):.0f} MB" for process in processes)
            seen = "no answer" if status is None else f"received {status.frames.received}"
            print(f"{number} messages, {time.monotonic() - started_s:.0f} s: {seen}; {memory}", flush=True)
        attack.one()
    _see_pictures(movie, control, faults)
    status = _status(control, faults)
    for process, before_mb in zip(processes, memory_at_first, strict=True):
        growth_mb = memory_mb(process.pid) - before_mb
        print(f"memory {growth_mb:+.1f} of {before_mb:.0f} MB over the last {1 - WARM_UP:.0%} of the messages")
        if growth_mb > MAX_GROWTH_MB:
            faults.append(f"memory grew by {growth_mb:.0f} MB")
    if status is not None:
        refused = {**status.refused, **status.refused_requests, **status.refused_of_viewers}
        print(f"sent {dict(attack.sent)} and {movie.sent} good frames; refused, by reason:")
        for reason, count in sorted(refused.items(), key=lambda one: -one[1]):
            print(f"  {count:8d} {reason}")
        print(status.frames)
        print(status.windows)
    return [*faults, ended] if (ended := _ended(processes)) else faults


def _ended(processes: list[subprocess.Popen[bytes]]) -> str:
    codes = [process.poll() for process in processes]
    return "" if codes == [None, None] else f"daemon and camera process ended with {codes}"


def _see_pictures(movie: GoodFrames, control: str, faults: list[str]) -> None:
    """Send good frames until there is a picture of them."""
    status = _status(control, faults)
    before, deadline = status.windows.published if status else 0, time.monotonic() + 60
    movie.begin()
    while (status := _status(control, faults)) and status.windows.published < before + 3:
        if time.monotonic() > deadline:
            faults.append(f"no picture of the good frames: {status.windows}")
            break
        ask(control, "resume", 20_000)  # mutated requests that wait may pause it still
        movie.frames(10)
        time.sleep(0.1)


def _status(control: str, faults: list[str]) -> Status | None:
    try:
        status = Status.model_validate(ask(control, "status", 20_000))
    except InputError as error:
        faults.append(str(error))
        return None
    frames, windows = status.frames, status.windows
    closes = frames.sent == frames.received + frames.missing and frames.received == frames.used + frames.rejected
    if not closes or windows.complete < windows.published + windows.skipped + windows.failed:
        faults.append(f"the account does not close: {frames} {windows}")
    return status


if __name__ == "__main__":
    main()
