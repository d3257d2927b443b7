"""Nothing outside may hold up the daemon: blocked consoles, clocks that are set, slow readers, many connections."""

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import numpy as np
import pytest
import zmq
from daemon_process import wait_until
from recording_rig import INFO
from test_worker import CONFIG

from daemon import log_queue, run_clock
from daemon.control import server
from daemon.control.cropped_view import newest
from daemon.health import Health
from daemon.live_config import LiveConfig
from daemon.log_queue import LogQueue
from daemon.sources.camera import CameraFrame
from daemon.sources.stream_publisher import StreamPublisher
from daemon.stop_signals import StopSignals
from daemon.transport import publisher
from daemon.transport.server_socket import KEEPALIVE
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo


def drain(end):
    with suppress(OSError):  # of a terminal whose other end is closed
        while os.read(end, 65_536):
            pass
    os.close(end)


YEAR_S = 365 * 24 * 3600
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX only")


class Slow:
    """A console one of whose steps waits, as a window in which somebody marks text."""

    def __init__(self, step):
        self._step, self._go_on, self._texts = step, threading.Event(), queue.SimpleQueue()

    def write(self, text):
        if self._step == "write":
            self._go_on.wait()
        self._texts.put(text.encode())

    def flush(self):
        if self._step == "flush":
            self._go_on.wait()

    def read(self):
        self._go_on.set()
        return self._texts.get(timeout=30)

    def go_on(self):
        self._go_on.set()

    def close(self):
        """Nothing is open."""


class Unread:
    """A pipe or a terminal that nobody reads."""

    def __init__(self, ends):
        self._near, far = ends
        self._stream = os.fdopen(far, "w", buffering=1)
        self.write, self.flush = self._stream.write, self._stream.flush

    def read(self):
        return os.read(self._near, 65_536)

    def go_on(self):
        self._reader = threading.Thread(target=drain, args=(self._near,), daemon=True)
        self._reader.start()

    def close(self):
        self._stream.close()
        self._reader.join()


CONSOLES = {
    "a pipe that nobody reads": lambda: Unread(os.pipe()),
    "a terminal that is stopped": lambda: Unread(os.openpty()),
    "a write that waits": lambda: Slow("write"),
    "a flush that waits": lambda: Slow("flush"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=POSIX if "terminal" in kind else ()) for kind in CONSOLES])
def test_a_blocked_console_delays_no_event_and_the_dropped_lines_are_counted(kind):
    console = CONSOLES[kind]()
    lines = LogQueue(logging.StreamHandler(console), size=100)
    log = logging.getLogger("daemon.health")
    log.addHandler(lines.handler)
    log.setLevel(logging.INFO)
    logged = threading.Event()

    def events():
        health = Health(run="run")
        for number in range(2000):
            health.event("info", "mark", f"{number}: {'x' * 100}")
        logged.set()

    threading.Thread(target=events, daemon=True).start()
    try:
        assert logged.wait(30), "events waited for the console"
        text = b""
        while b"lines of the log were dropped" not in text:
            text += console.read()
            log.info("one more")
    finally:
        log.removeHandler(lines.handler)
        console.go_on()
        lines.close()
        console.close()


@pytest.mark.parametrize("step", ["write", "flush"])
def test_a_console_that_stays_blocked_does_not_hold_up_the_end_of_the_run(monkeypatch, step):
    monkeypatch.setattr(log_queue, "FLUSH_S", 0.01)
    console = Slow(step)
    lines = LogQueue(logging.StreamHandler(console))
    lines.handler.emit(logging.LogRecord("daemon", logging.INFO, "", 1, "a line", (), None))
    closing = threading.Thread(target=lines.close, daemon=True)
    closing.start()
    closing.join(30)
    waited = closing.is_alive()
    console.go_on()
    assert not waited


def test_the_end_of_a_run_waits_for_a_full_log_to_be_written(monkeypatch):
    monkeypatch.setattr(log_queue, "FLUSH_S", 30)
    console = Slow("write")
    lines = LogQueue(logging.StreamHandler(console), size=1)
    for number in range(3):
        lines.handler.emit(logging.LogRecord("daemon", logging.INFO, "", 1, f"line {number}", (), None))
        if not number:
            wait_until(lines.handler.queue.empty)  # it waits in the console
    closing = threading.Thread(target=lines.close, daemon=True)
    closing.start()
    closing.join(0.1)
    waited = closing.is_alive()
    console.go_on()
    closing.join(30)
    assert waited
    assert [console.read() for _ in range(2)] == [b"line 0\n", b"line 1\n"]


@pytest.mark.parametrize("set_to_s", [0, -3600, 3600, 10 * YEAR_S])
def test_no_time_goes_backwards_when_the_clock_is_set(monkeypatch, set_to_s):
    before, now_s = run_clock.unix_ns(), time.time() if set_to_s else 0
    monkeypatch.setattr(time, "time_ns", lambda: int((now_s + set_to_s) * 1e9))
    monkeypatch.setattr(time, "time", lambda: float(now_s + set_to_s))
    assert 0 <= run_clock.unix_ns() - before < 60 * 10**9


@pytest.mark.parametrize(("preview_window", "kind"), [(7, "sr.preview"), (6, "sr.refined"), (5, "sr.refined")])
def test_the_newest_picture_is_that_of_the_newest_window_whatever_the_clock_says(preview_window, kind):
    refined = SimpleNamespace(window=6, published_unix_ns=1_000)
    preview = SimpleNamespace(window=preview_window, published_unix_ns=10**18 if preview_window < 7 else 5)
    pictures = {"sr.refined": (refined, np.zeros(1)), "sr.preview": (preview, np.zeros(1))}
    assert newest(pictures, "newest")[0] == kind


@pytest.mark.parametrize("options", [publisher.OPTIONS, server.OPTIONS, KEEPALIVE], ids=["results", "control", "all"])
def test_clients_that_stand_still_get_no_heartbeats_that_libzmq_would_die_of(options):
    """Issue 4767 of libzmq: a heartbeat to a client whose queue is full aborts the client."""
    assert not {zmq.HEARTBEAT_IVL, zmq.HEARTBEAT_TIMEOUT} & set(options)
    assert KEEPALIVE[zmq.TCP_KEEPALIVE] == 1


READER = """
import sys, time, zmq
endpoint, kind, still_s = sys.argv[1], getattr(zmq, sys.argv[2]), float(sys.argv[3])
socket = zmq.Context().socket(kind)
socket.setsockopt(zmq.RCVHWM, 1)
socket.linger = 0
if kind == zmq.SUB:
    socket.subscribe(b"")
socket.connect(endpoint)
end_s = time.monotonic() + 6
while time.monotonic() < end_s:
    if kind == zmq.DEALER and socket.poll(0, zmq.POLLOUT):
        socket.send(b"a request")
    if socket.poll(300):
        socket.recv_multipart()
    time.sleep(still_s)
"""
SERVERS = {
    "results": (zmq.XPUB, zmq.SUB, publisher.OPTIONS),
    "control": (zmq.ROUTER, zmq.DEALER, server.OPTIONS),
}


def test_readers_that_stand_still_with_full_queues_survive():
    """Most readers die here when the options have HEARTBEAT_IVL 50 and _TIMEOUT 100.

    It is libzmq's 'Assertion failed: !_io_error' in the reader (issues 4364 and 4767). Some read a message now and
    then, some stand still for as long as the test takes; frames come from the publisher of a camera process.
    """
    readers = {}

    def read(name, endpoint, kind):
        for still_s in (0.3, 0.3, 5.0):
            line = [sys.executable, "-c", READER, endpoint, kind, str(still_s)]
            readers[f"{name} {len(readers)}"] = subprocess.Popen(line)

    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        frames = stack.enter_context(StreamPublisher("tcp://127.0.0.1:*", threading.Event(), lossless=False))
        frames.begin(INFO)
        read("frames", frames.endpoint, "SUB")
        sockets = []
        for name, (kind, reads, options) in SERVERS.items():
            socket = stack.enter_context(context.socket(kind))
            for option, value in (KEEPALIVE | options).items():
                socket.setsockopt(option, value)
            read(name, f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}", reads.name)
            sockets.append(socket)
        results, control = sockets
        clients = set()
        while any(reader.poll() is None for reader in readers.values()):
            frames.send(CameraFrame(np.zeros((6, 8), np.uint16), 0, None))
            results.send_multipart([b"sr.refined", bytes(100)])
            if results.poll(5):
                results.recv()  # a subscription
            while control.poll(0):
                clients.add(control.recv_multipart()[0])
            for client in clients:
                control.send_multipart([client, bytes(100)])
    assert {name: reader.returncode for name, reader in readers.items()} == dict.fromkeys(readers, 0)


@POSIX
def test_a_closed_terminal_stops_the_daemon_in_order():
    asked = threading.Event()
    with StopSignals(asked.set):
        os.kill(os.getpid(), signal.SIGHUP)
        assert asked.wait(10)


@POSIX
def test_the_limit_of_open_files_is_raised_to_what_the_system_permits():
    program = (
        "import resource\n"
        "from daemon.file_limit import raise_file_limit\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "raise_file_limit()\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "assert soft == min(hard, 65536), (soft, hard)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("window", "side"), [(100_000, 2048), (40_000, 4096)])
def test_a_window_that_does_not_fit_into_memory_is_refused_in_words(window, side):
    stream = StreamInfo(stream="stream-1", source="here", height=side, width=side, dtype="uint16")
    live = LiveConfig(CONFIG)
    with pytest.raises(InputError, match=r"needs .* GB of memory"):
        live.change({"reconstruction.window": window}, stream)
    assert live.current is CONFIG
    live.change({"reconstruction.window": window, "reconstruction.region": [0, 0, 32, 32]}, stream)
