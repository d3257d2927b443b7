"""Thousands of connections: the daemon goes on, and serves again when they are gone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from daemon_process import DEADLINE_S, Daemon, Results, posix, simulated, wait_until

from daemon.control.client import ControlClient
from daemon.file_limit import raise_file_limit
from daemon.keys.store import Keyring
from daemon.transport.client_socket import new_pair

SOCKETS_WITH_FEW_FILES = """
import json, os, resource, zmq
from daemon.control.client import ControlClient
from daemon.health import Health
from daemon.sources.core_connection import hello
from daemon.transport.context import new_context
from daemon.transport.frame_subscriber import FrameSubscriber
from daemon.transport.server_socket import ServerSocket
from daemon.watch.terminal import _connected
from selfstorm.errors import InputError

def subscriber(): FrameSubscriber("tcp://127.0.0.1:9")
def control(): ControlClient("tcp://127.0.0.1:9")
def watch(): _connected("tcp://127.0.0.1:9", None).__enter__()
def micromanager(): hello(9).__enter__()

socket = ServerSocket("test", Health(run=""), "tcp://127.0.0.1:*", zmq.ROUTER, {}, lambda socket: None)
ends = {}
for make in (new_context, subscriber, socket._session, control, watch, micromanager):
    for more in range(24):
        if not (child := os.fork()):
            files = len(os.listdir("/proc/self/fd")) - 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (files + more, 4096))
            try:
                make()
            except (OSError, InputError):
                os._exit(1)
            os._exit(0)
        ends.setdefault(make.__name__, []).append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""
FILES = 100  # 1,024 on a usual system
WAITING = 40  # connections that take every file that gets free, as those of a recorder that dies
LIMITED = (
    sys.executable,
    "-c",
    f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES})); "
    "from daemon.cli import main; main()",
)


@pytest.fixture(params=["loopback", "CURVE"])
def limited(request, tmp_path):
    """A daemon that may open few files, on a plain port or on one that needs a key."""
    ring = None
    if request.param == "CURVE":
        ring = Keyring(tmp_path / "ring")
        ring.make_pair()
        ring.allow("viewer", new_pair()[0], "view")  # without one it does not start
    raise_file_limit()  # of this process
    with Daemon(tmp_path, simulated(), "--record", "raw", ring=ring, program=LIMITED) as daemon:
        yield daemon.started()


def use_up_files(stack, daemon, address):
    """Open connections that say nothing until the daemon has no file left, and those that get free are taken too."""
    host, port = address.removeprefix("tcp://").split(":")

    def connect():
        with suppress(TimeoutError):
            stack.enter_context(closing(socket.create_connection((host, int(port)), timeout=0.2)))

    deadline_s = time.monotonic() + DEADLINE_S
    while open_files(daemon.pid) < FILES:
        assert time.monotonic() < deadline_s, f"{open_files(daemon.pid)} files"
        connect()
    for _ in range(WAITING):
        connect()


def open_files(pid):
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="counts the open files of another process")
@pytest.mark.parametrize("port", ["results", "control"])
def test_connections_that_use_up_all_files_end_nothing(limited, port):
    with (
        Results(limited.results, limited.key) as viewer,
        ControlClient(limited.control, 20_000, limited.key) as control,
    ):
        viewer.more("sr.refined", 1)
        recorder = limited.child("daemon.recording.recorder")
        with ExitStack() as stack:
            use_up_files(stack, limited, getattr(limited, port))
            os.kill(recorder, signal.SIGKILL)
            viewer.event("recorder_lost")
            viewer.more("sr.refined", 2)
            assert control.ask("status")["state"] == "running"
        before = limited.status()
        assert before.source_restarts == 0

        def recorded_again():
            status = limited.status()
            return status.recorded_frames > before.recorded_frames and status

        after = wait_until(recorded_again)
        assert after.frames.missing == 0
    with Results(limited.results, limited.key) as late:
        late.more("sr.refined", 1)


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="counts its open files")
def test_a_socket_that_finds_too_few_files_is_an_error_and_no_abort():
    """libzmq ends the whole process where the threads of a context find no file."""
    program = [sys.executable, "-c", SOCKETS_WITH_FEW_FILES]
    done = subprocess.run(program, capture_output=True, text=True, timeout=90, check=True)
    ends = json.loads(done.stdout)
    assert len(ends) == 6
    for name, codes in ends.items():
        assert set(codes) == {0, 1}, (name, codes, done.stderr)
        assert codes == sorted(codes, reverse=True), name
