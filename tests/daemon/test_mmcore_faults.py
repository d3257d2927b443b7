"""A daemon on the real Micro-Manager core to which everything happens: told, placed, and the picture returns.

Every sequence is brighter than the one before, so that a picture which mixes frames of two would show it; a recording
beside it says what became of every frame.
"""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemon_process import Daemon, Results, account_closes, free_ports, posix, simulated, wait_until
from disturbed import fault
from meddled_camera import DARK, LEVEL, PORT, PROGRAM, meddle

pytest.importorskip("pymmcore_plus")
pytest.importorskip("mm_test_adapters")
pytestmark = posix

WINDOW, SIDE, EXPOSURE_MS, BUFFER_MB = 16, 64, 5.0, 1
SCOPE = """
Property,Core,Initialize,0
Device,DHub,DemoCamera,DHub
Device,Camera,DemoCamera,DCam
Parent,Camera,DHub
Property,Core,Initialize,1
Property,Core,Camera,Camera
ConfigGroup,System,Startup,Camera,PixelType,16bit
ConfigGroup,System,Startup,Camera,Mode,Noise
ConfigGroup,System,Startup,Camera,OnCameraCCDXSize,64
ConfigGroup,System,Startup,Camera,OnCameraCCDYSize,64
"""
CRASHES = SCOPE + "ConfigGroup,System,Startup,Camera,SimulateCrash,Dereference Null Pointer\n"
BINNED = SCOPE + "ConfigGroup,System,Startup,Camera,Binning,2\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scope")
    scope, [port] = folder / "SCOPE.cfg", free_ports(1)
    scope.write_text(SCOPE)
    mmcore = {"exposure_ms": EXPOSURE_MS, "buffer_mb": BUFFER_MB}
    settings = simulated(window=WINDOW, stride=WINDOW, camera={"pixel_nm": 100.0}, record=str(folder / "frames"))
    settings["source"] = {"uri": "mmcore:SCOPE.cfg", "mmcore": mmcore}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PORT, str(port))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        daemon = Daemon(folder, settings, program=PROGRAM)
        with daemon, Results(daemon.results) as results:
            daemon.started().published(1)
            yield SimpleNamespace(
                daemon=daemon,
                results=results,
                scope=scope,
                frames=folder / "frames",
                meddle=lambda *a: meddle(port, *a),
            )
            assert all(account_closes(status) for status in results.messages("status"))
            assert "Traceback" not in daemon.err
            pure(results)


def pure(results):
    """No picture is made of frames from before and after a change, and each stream is as bright as no other."""
    levels = {}
    for one in results.pictures("raw.mean"):
        level = (one.pixels.mean() - DARK) / LEVEL
        assert abs(level - round(level)) < 0.03, level
        levels.setdefault(one.message.stream, set()).add(round(level))
    assert all(len(of_one) == 1 for of_one in levels.values()), levels
    assert len(set.union(*levels.values())) == len(levels), levels


def skipped(running):
    """How many of the camera's numbers are in no recording; of what was sent, nothing is missing there."""
    total = 0
    for index in running.frames.glob("*.jsonl"):
        whole, _, _ = index.read_text().rpartition("\n")
        frames = [json.loads(line) for line in whole.splitlines()]
        assert [frame["seq"] for frame in frames] == list(range(len(frames)))
        total += frames[-1]["number"] + 1 - len(frames) if frames else 0
    return total


def told_as_lost(running):
    """How many frames the daemon has said were lost in the camera's buffer."""
    return sum(int(event.text.split()[0]) for event in running.results.events("lost_at_source"))


def test_a_camera_that_stops_by_itself(running):
    with fault(running) as outcome:
        running.meddle("stop")
        assert outcome.told("source_waits", "Camera (DCam) had stopped its sequence, and was started again")
    assert (outcome.same_stream, outcome.restarts) == (False, 0)


def test_a_region_that_is_changed_while_the_camera_runs(running):
    with fault(running) as outcome:
        running.meddle("region", 16, 8, 32, 48)
        assert outcome.told("source_waits", "Camera (DCam) had stopped its sequence, and was started again")
        assert outcome.told("stream_begins", "32 x 48 px")
    assert (outcome.same_stream, outcome.restarts) == (False, 0)
    info = running.results.messages("info")[-1]
    assert (info.height, info.width, info.roi_yx) == (48, 32, (8, 16))


def test_a_buffer_that_runs_over(running):
    before = told_as_lost(running)
    with fault(running) as outcome:
        capacity = running.meddle("overrun")
        assert outcome.told("lost_at_source", "in the camera's buffer")

    def all_told():
        return told_as_lost(running) == skipped(running)

    wait_until(all_told)
    assert outcome.lost() >= told_as_lost(running) - before >= capacity
    assert (outcome.same_stream, outcome.restarts) == (True, 0)


def test_frames_that_the_camera_itself_misses(running):
    """A camera process that is stopped for a while: the demonstration camera lives in it."""
    before = skipped(running)
    camera = running.daemon.child("meddled_camera")
    with fault(running) as outcome:
        os.kill(camera, signal.SIGSTOP)
        running.results.more("status", 3)
        os.kill(camera, signal.SIGCONT)
        assert outcome.told("lost_in_camera", "at the source, inside the camera")
    assert outcome.lost() > skipped(running) - before
    assert (outcome.same_stream, outcome.restarts) == (True, 0)


def test_a_camera_that_is_gone(running):
    with fault(running) as outcome:
        running.meddle("unload")
        assert outcome.told("camera_process_lost", "no camera is there any more: was it switched off?")
        assert outcome.told("stream_begins", "64 x 64 px")
    assert outcome.told("frames_lost_in_outage", "frames were not captured")
    assert (outcome.same_stream, outcome.restarts) == (False, 1)
    assert outcome.after.frames.estimated_lost_in_outages > outcome.before.frames.estimated_lost_in_outages


def test_a_configuration_that_crashes_the_camera_process_until_it_is_mended(running):
    """The one that is well bins, too."""
    with fault(running) as outcome:
        running.scope.write_text(CRASHES)
        os.kill(running.daemon.child("meddled_camera"), signal.SIGSEGV)
        said = "the camera process could not begin again: the camera process was killed (SIGSEGV) before it was ready"
        assert outcome.told("camera_process_lost", said)
        status = running.daemon.status()
        assert (status.state, status.source_state) == ("waiting", "restarting")
        assert status.detail.startswith(said)
        running.scope.write_text(BINNED)
        assert outcome.told("stream_begins", f"{SIDE // 2} x {SIDE // 2} px")
    assert (outcome.same_stream, outcome.restarts) == (False, 2)
    info = running.results.messages("info")[-1]
    assert (info.height, info.width, info.binning) == (SIDE // 2, SIDE // 2, 2)
