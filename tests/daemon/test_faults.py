"""Whatever is killed, stopped or started twice: the daemon says so, goes on, and its account still closes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from daemon_process import (
    DAEMON,
    SCENE,
    Daemon,
    Results,
    account_closes,
    command,
    mean_frame,
    posix,
    runs,
    simulated,
    wait_until,
)

from selfstorm.io.movies import MovieFile
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

WINDOW = 20
VIEWER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(sys.argv[1])
while True:
    socket.recv_multipart()
    print("heard", flush=True)
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One daemon that survives everything done to it here, whatever the order."""
    folder = tmp_path_factory.mktemp("faults")
    with Daemon(folder, simulated(window=WINDOW, stride=WINDOW, record="raw")) as daemon:
        with Results(daemon.results) as results:
            daemon.started().published(1)
            yield SimpleNamespace(daemon=daemon, results=results, folder=folder)
        assert all(account_closes(status) for status in results.messages("status"))
        assert "Traceback" not in daemon.err


@contextmanager
def camera_outage(running, number):
    """Signal the camera process; what the block gets is filled once it was replaced and windows come again."""
    daemon, results, outage = running.daemon, running.results, SimpleNamespace()
    told = {code: len(results.events(code)) for code in ("camera_process_lost", "source_resumed")}
    before, camera = daemon.status(), daemon.child("daemon.sources")
    os.kill(camera, number)
    yield outage
    outage.lost = results.event("camera_process_lost", told["camera_process_lost"])
    outage.resumed = results.event("source_resumed", told["source_resumed"])

    def new_windows():
        after = daemon.status()
        mine = [one for one in results.pictures("raw.mean") if one.message.stream == after.stream]
        return mine if after.stream != before.stream and len(mine) >= 2 else None

    outage.windows = wait_until(new_windows)
    outage.restarts = daemon.status().source_restarts - before.source_restarts
    assert not runs(camera)


def first_number(event):
    """The frame number an event of a resumed source names."""
    return int(event.text.split("number ")[1].split()[0])


@posix
def test_a_killed_camera_process_is_replaced_and_frames_go_on_where_they_were(running):
    with camera_outage(running, signal.SIGKILL) as outage:
        pass
    assert "was killed (SIGKILL)" in outage.lost.text
    assert outage.restarts == 1
    resumed_at = first_number(outage.resumed)
    assert resumed_at > WINDOW
    # No window mixes two streams: each is the mean of the frames the new process made, and of no other.
    assert [one.message.first_seq % WINDOW for one in outage.windows] == [0] * len(outage.windows)
    assert [one.message.missing for one in outage.windows] == [0] * len(outage.windows)
    for one in outage.windows:
        # All of its frames; where they are taken for another scene than before, rightly or not, the last ones.
        first, count = one.message.last_seq + 1 - one.message.frames, one.message.frames
        np.testing.assert_array_equal(one.pixels, mean_frame(resumed_at + first, count))
    numbers = [one.message.window for one in running.results.pictures("sr.refined")]
    assert numbers == sorted(set(numbers))


@posix
def test_a_camera_process_that_hangs_is_noticed_by_its_silence_and_replaced(running):
    with camera_outage(running, signal.SIGSTOP) as outage:
        pass
    assert "has been silent for" in outage.lost.text
    assert outage.restarts == 1
    assert all(account_closes(status) for status in running.results.messages("status"))


@posix
def test_a_killed_recorder_goes_on_in_a_new_file(running):
    def some_recorded(least=1):
        status = running.daemon.status()
        return status if status.recording and status.recorded_frames >= least else None

    def in_a_new_file():
        status = some_recorded(before.recorded_frames + 1)
        return status if status and status.recording != before.recording else None

    before = wait_until(some_recorded)
    told = len(running.results.events("recorder_lost"))
    os.kill(running.daemon.child("daemon.recording.recorder"), signal.SIGKILL)
    assert "not recorded" in running.results.event("recorder_lost", told).text
    after = wait_until(in_a_new_file)
    # Frames of the first file are not missing in the second one.
    assert after.recorded_frames + after.recording_missing <= running.daemon.status().frames.sent
    with MovieFile(running.folder / before.recording) as movie:
        assert movie.length >= min(before.recorded_frames, 2)
    assert after.source_restarts == before.source_restarts


@posix
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_viewer_that_is_stopped_or_killed_disturbs_nobody(running, number):
    before = running.daemon.status()
    line = [sys.executable, "-c", VIEWER, running.daemon.results]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            assert viewer.stdout.readline() == "heard\n"
            viewer.send_signal(number)
            running.results.more("sr.refined", 4)
        finally:
            viewer.kill()
    running.results.more("sr.refined", 1)
    after = running.daemon.status()
    assert (after.source_restarts, after.windows.failed) == (before.source_restarts, before.windows.failed)
    assert after.results_dropped == before.results_dropped
    assert after.windows.published >= before.windows.published + 4


def test_a_second_daemon_on_the_same_ports_says_so_and_the_first_goes_on(running):
    outcome = command([*DAEMON, "run", running.daemon.config])
    assert outcome.returncode == 2
    results, control, *more = outcome.stderr.splitlines()  # all mistakes of a run at once
    assert results.startswith(f"error: {running.daemon.results}: cannot listen there")
    assert f"{running.daemon.control}: cannot listen there" in control
    assert not more
    running.results.more("sr.refined", 2)


@posix
def test_a_killed_daemon_leaves_no_process_and_everything_it_wrote(tmp_path, start):
    daemon = start(simulated(record="raw", save="out.ome.tif", window=WINDOW, stride=WINDOW))

    def much():
        status = daemon.status()
        return status if status.windows.published >= 3 and status.recorded_frames >= 2 * WINDOW else None

    with Results(daemon.results) as results:
        status = wait_until(much)
        wait_until(results.has("sr.refined"))
    children = [daemon.child(module) for module in ("daemon.sources", "daemon.recording.recorder")]
    daemon.send(signal.SIGKILL)
    assert daemon.exit_code() == -signal.SIGKILL

    def all_gone():
        return not any(map(runs, children))

    wait_until(all_gone)
    recording = next((tmp_path / "raw").glob("*.tif"))
    lines = recording.with_suffix(".jsonl").read_text().splitlines()
    numbers = [json.loads(line)["number"] for line in lines]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= status.recorded_frames
    with MovieFile(recording) as movie:
        assert movie.length >= len(numbers)
        expected = [frame for frame, _ in simulate(Scene(**SCENE), frames=movie.length)]
        np.testing.assert_array_equal(movie.frames(), expected)
    with tifffile.TiffFile(tmp_path / "out.ome.tif.part") as file:
        saved = file.asarray(key=slice(None))
    assert len(saved) >= status.windows.published - 1
    for one in results.pictures("sr.refined"):
        if one.message.window < len(saved):
            np.testing.assert_array_equal(saved[one.message.window], one.pixels)
    assert not (tmp_path / "out.ome.tif").exists()
    assert "Traceback" not in daemon.err


@posix
def test_a_recording_that_cannot_go_on_holds_nothing_up(tmp_path, start):
    daemon = start(simulated(record="raw", window=WINDOW, stride=WINDOW))
    with Results(daemon.results) as results:
        daemon.published(1)
        (tmp_path / "raw").rename(tmp_path / "elsewhere")  # the recorder that is started next has no folder
        os.kill(daemon.child("daemon.recording.recorder"), signal.SIGKILL)
        assert "the stream goes on" in results.event("recording_stopped").text
        results.more("sr.refined", 1)
        os.kill(daemon.child("daemon.sources"), signal.SIGKILL)
        results.event("source_resumed")
        results.more("sr.refined", 2)
