"""A daemon that is asked to stop ends, whatever it is doing, with its files closed and its account complete."""

import json
import os
import signal
import sys
import threading

import pytest
import tifffile
from daemon_process import Daemon, account_closes, simulated, wait_until

from daemon.control.client import ask
from daemon.protocol.messages import Status
from daemon.transport.child_process import wait_ready

STOPS = [signal.CTRL_BREAK_EVENT] if os.name == "nt" else [signal.SIGINT, signal.SIGTERM]
HELD = """
import sys, threading
from daemon.processing.reconstructor import Reconstructor
reconstruct, windows = Reconstructor.reconstruct, iter(range({}))
def held(*arguments):
    if next(windows, None) is None:
        print("held", file=sys.stderr, flush=True)
        threading.Event().wait()
    return reconstruct(*arguments)
Reconstructor.reconstruct = held
from daemon.cli import main; main()
"""


@pytest.fixture
def held(tmp_path):
    """held(windows): a daemon that computes so many windows, and never finishes the next one."""
    daemons = []

    def begin(windows):
        settings = simulated(save="out.ome.tif", record="raw")
        daemon = Daemon(tmp_path, settings, "--json", program=(sys.executable, "-c", HELD.format(windows)))
        daemons.append(daemon.__enter__())
        daemon.started()
        wait_until(lambda: "held" in daemon.err)
        return daemon

    yield begin
    for daemon in daemons:
        daemon.__exit__()


def ended_well(daemon):
    assert daemon.exit_code() == 0
    assert "Traceback" not in daemon.err
    status = Status.model_validate(json.loads(daemon.out[daemon.out.index("{") :]), strict=False)
    assert status.state == "ended"
    assert account_closes(status)
    windows = status.windows
    assert windows.complete == windows.published + windows.skipped + windows.failed
    assert windows.skipped >= 1
    assert status.recorded_frames + status.recording_missing == status.frames.sent
    assert "windows_abandoned" in daemon.err
    return status


def test_a_stop_request_does_not_wait_for_the_first_window(held, tmp_path):
    daemon = held(0)
    ask(daemon.control, "stop", timeout_ms=10_000)
    assert ended_well(daemon).windows.published == 0
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_does_not_wait_for_a_window_and_saves_those_before(held, tmp_path, number):
    daemon = held(1)
    daemon.send(number)
    assert ended_well(daemon).windows.published == 1
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        assert len(file.pages) == 1


def test_a_stop_request_does_not_wait_for_a_camera_process_that_starts():
    class Silent:
        ending = ""

        def said(self, timeout_s=0.0):
            return None

    stop = threading.Event()
    stop.set()
    assert "stopped" in wait_ready(Silent(), 1e9, stop)["error"]
