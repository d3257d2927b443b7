"""The daemon leaves the processor to the acquisition that runs beside it."""

import os
import subprocess
import sys

import pytest
from daemon_process import Daemon, free_ports, posix, simulated

from daemon.priority import NICE
from daemon.sources.section import SourceSection

ACQUISITION = {"frames": 3}


@posix
@pytest.mark.parametrize("below_normal", [True, False])
def test_daemon_camera_process_and_recorder_run_below_normal_beside_micromanager(tmp_path, below_normal):
    [port] = free_ports(1)
    source = {"uri": f"micromanager:127.0.0.1:{port}", "below_normal_priority": below_normal}
    with Daemon(tmp_path, simulated() | {"source": source, "record": str(tmp_path)}) as daemon:
        daemon.started()
        pids = [daemon.pid, daemon.child("daemon.sources"), daemon.child("daemon.recording.recorder")]
        nice = {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids}
    ours = os.getpriority(os.PRIO_PROCESS, 0)  # the tests may be run at any
    assert nice == {max(ours, NICE) if below_normal else ours}


@posix
def test_a_priority_that_is_lower_already_stays():
    program = "import os; os.nice(12); from daemon.priority import lower_priority as lower; lower(); print(os.nice(0))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(19, os.nice(0) + 12)


@pytest.mark.parametrize(
    ("section", "below"),
    [
        ({"uri": "micromanager:"}, True),
        ({"uri": "ndtiff:somewhere"}, True),
        ({"uri": "micromanager:", "below_normal_priority": False}, False),
        ({"uri": "micromanager:", "acquisition": ACQUISITION}, False),
        ({"uri": "mmcore:"}, False),
        ({"uri": "zmq:127.0.0.1:5710"}, False),
        ({"uri": "simulate:"}, False),
    ],
)
def test_only_beside_an_acquisition_of_another_program(section, below):
    assert SourceSection(**section).runs_below_normal is below
