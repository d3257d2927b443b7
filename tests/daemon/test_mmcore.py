"""The real Micro-Manager core with its demonstration camera: nothing lost, and what is wrong is said in one line."""

import os
import signal

import pytest
from daemon_process import (
    DAEMON,
    Daemon,
    Results,
    account_closes,
    free_ports,
    posix,
    simulated,
    wait_until,
    within,
    write_config,
)
from watched import Watched, lost_in

from daemon.sources.camera import CameraError, CameraFrame, Resume
from daemon.sources.mmcore import MMCore
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

pytest.importorskip("pymmcore_plus")
pytest.importorskip("mm_test_adapters")

SIDE, EXPOSURE_MS = 64, 10.0
DEMO = {"Camera-PixelType": "16bit", "Camera-OnCameraCCDXSize": SIDE, "Camera-OnCameraCCDYSize": SIDE}


def demo_camera(uri="mmcore:", **properties):
    mmcore = {"exposure_ms": EXPOSURE_MS, "properties": DEMO | properties}
    return simulated(camera={"pixel_nm": 100.0}) | {"source": {"uri": uri, "mmcore": mmcore}}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mmcore")
    with Daemon(folder, demo_camera()) as daemon, Results(daemon.results) as results:
        daemon.started().published(2)
        yield daemon, results


def test_every_frame_of_the_demonstration_camera_arrives(running):
    daemon, results = running

    def hundred_frames():
        status = daemon.status()
        return status if status.frames.received >= 100 else None

    status = wait_until(hundred_frames)
    frames = status.frames
    assert frames.sent == frames.received == frames.used
    assert (frames.missing, frames.malformed_messages) == (0, 0)
    assert not results.events("lost_at_source")  # the camera itself misses some where the computer is busy
    assert (status.source, status.windows.failed) == ("mmcore:", 0)
    assert all(account_closes(status) for status in results.messages("status"))


def test_the_stream_says_what_the_camera_is(running):
    wait_until(running[1].has("info", "sr.refined"))
    info = running[1].messages("info")[0]
    assert (info.height, info.width, info.dtype) == (SIDE, SIDE, "uint16")
    assert (info.exposure_ms, info.rate_hz) == (EXPOSURE_MS, 1000 / EXPOSURE_MS)
    assert info.camera == "Camera (DCam)"
    assert (info.binning, info.roi_yx) == (1, (0, 0))
    assert running[1].messages("sr.refined")[0].shape == (2 * SIDE, 2 * SIDE)


@posix
def test_frames_a_camera_made_while_nobody_took_them_are_estimated_and_told(running):
    daemon, results = running
    before = daemon.status()
    os.kill(daemon.child("daemon.sources"), signal.SIGKILL)
    lost = results.event("frames_lost_in_outage")
    results.more("sr.refined", 2)
    after = daemon.status()
    estimate = after.frames.estimated_lost_in_outages - before.frames.estimated_lost_in_outages
    assert estimate > 0
    assert f"about {estimate} frames were not captured" in lost.text
    assert (after.source_restarts, after.stream != before.stream) == (1, True)
    assert account_closes(after)


@pytest.fixture
def source(stop, monkeypatch):
    """(the source, taken step by step; its core), in this process."""
    monkeypatch.setattr("pymmcore_plus.configure_logging", lambda **_: None)  # it leaves files open, each time
    mmcore = {"exposure_ms": 5.0, "properties": DEMO}
    running = MMCore(SourceSection(uri="mmcore:", mmcore=mmcore), stop, Resume())
    watched = Watched(running)
    yield watched, running._core
    watched.close()
    del running, watched


def test_a_stopped_camera_is_started_again_and_said_to_be(source):
    watched, core = source
    [first] = watched.until(StreamInfo)
    watched.until(CameraFrame, 5)
    core.stopSequenceAcquisition()
    assert watched.until_said("stopped") == "Camera (DCam) had stopped its sequence, and was started again"
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    assert [shot.number for shot in watched.until(CameraFrame, 5)] == list(range(5))
    assert lost_in(watched.all) == 0


def test_a_buffer_that_ran_over_is_counted_and_the_sequence_goes_on(source):
    watched, core = source
    watched.until(StreamInfo)
    watched.until(CameraFrame, 5)
    core.stopSequenceAcquisition()
    watched.until(StreamInfo)
    core.stopSequenceAcquisition()
    core.setCircularBufferMemoryFootprint(1)  # room for a hundred frames
    core.startContinuousSequenceAcquisition(0)
    capacity = core.getBufferTotalCapacity()

    def ran_over():
        newest = int(core.getLastImageAndMD()[1]["ImageNumber"]) if core.getRemainingImageCount() else 0
        return newest > capacity

    wait_until(ran_over)
    shots = watched.until(CameraFrame, 10)
    assert lost_in(watched.all) >= capacity
    assert len(shots) + lost_in(watched.all) == shots[-1].number + 1
    assert len([one for one in watched.all if isinstance(one, StreamInfo)]) == 2


def test_a_camera_that_is_gone_is_an_error_that_says_so(source):
    watched, core = source
    watched.until(CameraFrame)
    core.stopSequenceAcquisition()
    core.clearCircularBuffer()
    core.unloadDevice("Camera")
    with pytest.raises(CameraError, match="no camera is there any more"):
        watched.until(StreamInfo)


SEVERAL = """
Property,Core,Initialize,0
Device,DHub,DemoCamera,DHub
Device,Left,DemoCamera,DCam
Device,Right,DemoCamera,DCam
Device,Both,Utilities,Multi Camera
Parent,Left,DHub
Parent,Right,DHub
Property,Core,Initialize,1
Property,Both,Physical Camera 1,Left
Property,Both,Physical Camera 2,Right
Property,Core,Camera,Both
"""


def test_several_cameras_at_once_are_refused(stop, tmp_path, monkeypatch):
    """Their frames come mixed, and a picture would be of both."""
    monkeypatch.setattr("pymmcore_plus.configure_logging", lambda **_: None)
    scope = tmp_path / "SCOPE.cfg"
    scope.write_text(SEVERAL)
    several = Watched(MMCore(SourceSection(uri=f"mmcore:{scope}"), stop, Resume()))
    with pytest.raises(InputError, match='several cameras at once; name one of them: "Core-Camera"'):
        several.next()
    mmcore = {"properties": {"Core-Camera": "Right"}}
    one = Watched(MMCore(SourceSection(uri=f"mmcore:{scope}", mmcore=mmcore), stop, Resume()))
    assert one.until(StreamInfo)[0].camera == "Right (DCam)"
    one.close()


def test_a_camera_that_does_not_answer_to_its_configuration_is_one_line(stop, tmp_path, monkeypatch):
    monkeypatch.setattr("pymmcore_plus.configure_logging", lambda **_: None)
    scope = tmp_path / "SCOPE.cfg"
    scope.write_text(SEVERAL.replace("Left,DemoCamera,DCam", "Left,DemoCamera,NoSuchCamera"))
    with pytest.raises(InputError) as refused:
        MMCore(SourceSection(uri=f"mmcore:{scope}"), stop, Resume())
    assert "Micro-Manager says: Line 4: Device,Left,DemoCamera,NoSuchCamera Device adapter" in str(refused.value)
    assert "\n" not in str(refused.value)


@posix
def test_a_camera_that_crashes_its_process_comes_back_by_itself(running):
    daemon, results = running
    before, told = daemon.status(), len(results.events("camera_process_lost"))
    os.kill(daemon.child("daemon.sources"), signal.SIGSEGV)  # as a device adapter does
    assert "was killed (SIGSEGV); it is restarted" in results.event("camera_process_lost", told).text

    def runs_again():  # pictures of frames from before the crash may come first
        after = daemon.status()
        return (after.state, after.source_restarts) == ("running", before.source_restarts + 1)

    wait_until(runs_again)
    results.more("sr.refined", 2)


WRONG = {
    "property": (demo_camera(**{"Camera-NoSuch": 1}), "NoSuch"),
    "configuration": (demo_camera("mmcore:none.cfg"), "none.cfg: no such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_one_line(case, tmp_path, capfd):
    settings, said = WRONG[case]
    server = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(("results", "control"), free_ports(2), strict=True)}
    path = write_config(tmp_path / "daemon.toml", settings | {"server": server})
    outcome = within([*DAEMON, "run", path], capfd)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (2, 1), outcome.stderr
    assert outcome.stderr.startswith("error: ")
    assert said in outcome.stderr
