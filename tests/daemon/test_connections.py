"""Thousands of connections: the daemon goes on, and serves again when they are gone."""

import os
import signal
import socket
import sys
from contextlib import ExitStack, closing

import pytest
from daemon_process import Daemon, Results, posix, simulated, wait_until

from daemon.control.client import ControlClient
from daemon.file_limit import raise_file_limit
from daemon.keys.store import Keyring

FILES, CONNECTIONS = 400, 500  # as 1,024 and 1,100 on a usual system, in less time
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
    raise_file_limit()  # of this process
    with Daemon(tmp_path, simulated(), "--record", "raw", ring=ring, program=LIMITED) as daemon:
        yield daemon.started()


def connect(stack, address, count):
    """Open plain connections that say nothing; as many as the system accepts."""
    host, port = address.removeprefix("tcp://").split(":")
    for _ in range(count):
        stack.enter_context(closing(socket.create_connection((host, int(port)), timeout=5)))


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="counts the open files of another process")
@pytest.mark.parametrize("port", ["results", "control"])
def test_connections_that_use_up_all_files_end_nothing(limited, port):
    with Results(limited.results, limited.key) as viewer, ControlClient(limited.control, 20_000, limited.key) as control:
        viewer.more("sr.refined", 1)
        recorder = limited.child("daemon.recording.recorder")
        with ExitStack() as stack:
            connect(stack, getattr(limited, port), CONNECTIONS)

            def all_files_are_used():
                return open_files(limited.pid) >= FILES - 2

            wait_until(all_files_are_used)
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
