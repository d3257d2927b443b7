"""Live mode over the bridge's protocol, with the unmodified pycromanager: followed, accounted, never disturbed."""

import numpy as np
import pytest
from bridge_emulator import BridgeEmulator
from daemon_process import free_ports, wait_until
from emulated_camera import FRAME_MS
from watched import READ_ONLY, followed, live, lost_in, lost_in_camera, shoot

from daemon.sources.camera import CameraFrame, Lost, Resume, Waiting
from daemon.sources.live_mode import PRESS_LIVE, STOPPED
from daemon.sources.live_sequence import RESTARTED, TAKEN
from daemon.sources.losses import LossCause
from daemon.sources.micromanager import MicroManager
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo


def test_pycromanager_follows_live_mode_over_the_bridge(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [info] = watched.until(StreamInfo)
    assert (info.height, info.width, info.dtype, info.binning, info.roi_yx) == (4, 6, "uint16", 2, (32, 16))
    assert (info.pixel_nm, info.exposure_ms, info.rate_hz) == (pytest.approx(100.0), 10.0, 100.0)
    assert (info.camera, info.bit_depth) == ("Camera (DCam)", 12)
    shots = watched.until(CameraFrame)
    for burst in (1, 2, 7):
        shoot(emulator, burst)
        shots += watched.until(CameraFrame, burst)
    shots += followed(emulator, watched, 190)
    assert [shot.number for shot in shots] == list(range(201))
    assert [shot.camera_ms for shot in shots] == [number * FRAME_MS for number in range(201)]
    for shot in shots:
        assert shot.pixels.dtype == np.uint16
        np.testing.assert_array_equal(shot.pixels, np.full((4, 6), shot.number))
    assert lost_in(watched.all) == 0
    assert set(emulator.calls) == READ_ONLY - {"getCircularBufferMemoryFootprint"}  # that is asked where none runs
    assert len(emulator.camera.buffer) == 201
    assert emulator.handles <= 2, "images are given back"


def test_eight_bit_pixels_stay_eight_bit(emulator, watch):
    emulator.camera.pixel_type = "GRAY8"
    live(emulator, frames=8)
    [info], [shot] = (watched := watch(emulator.port)).until(StreamInfo), watched.until(CameraFrame)
    assert (info.dtype, shot.pixels.dtype) == ("uint8", np.uint8)
    np.testing.assert_array_equal(shot.pixels, np.full((4, 6), 7))


def test_a_camera_whose_own_buffer_is_larger_than_its_images_is_followed(emulator, watch):
    emulator.camera.padding = 64
    live(emulator, frames=1)
    shots = (watched := watch(emulator.port)).until(CameraFrame)
    shoot(emulator, 2)
    shots += watched.until(CameraFrame, 2)
    assert [int(shot.pixels[0, 0]) for shot in shots] == [0, 1, 2]


def test_a_micromanager_without_a_camera_is_said_to_have_none(emulator, watch):
    emulator.camera.label = ""
    watched = watch(emulator.port)
    assert "load a configuration with a camera" in watched.until_said("no camera is loaded")
    emulator.camera.label = "Camera"
    watched.until_said(PRESS_LIVE)


def test_frames_that_fell_out_of_the_buffer_are_lost(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    with emulator.lock:
        emulator.camera.capacity = 20
        emulator.camera.shoot(50)
    shots = watched.until(CameraFrame, len(emulator.camera.buffer))
    assert shots[-1].number == 50
    everything = [happening for happening in watched.all if isinstance(happening, CameraFrame)]
    assert len(everything) + lost_in(watched.all) == 51


def test_frames_that_another_program_takes_are_counted_and_said_to_be(emulator, watch):
    live(emulator, frames=30)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    with emulator.lock:
        emulator.camera.shoot(40)
        emulator.camera.pop(60)
    assert watched.until_said("another program") == TAKEN
    shots = watched.until(CameraFrame, 10)
    assert [shot.number for shot in shots] == list(range(60, 70))
    assert [(one.count, one.cause) for one in watched.all if isinstance(one, Lost)] == [(30, LossCause.TAKEN)]


def test_a_tag_that_comes_and_goes_with_the_core_s_cache_is_no_change(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    for cached in (False, True, False):
        with emulator.lock:
            emulator.camera.state_cache = cached
            emulator.camera.shoot(2)
        watched.until(CameraFrame, 2)
    assert len([one for one in watched.all if isinstance(one, StreamInfo)]) == 1


@pytest.mark.parametrize("change", [{"height": 8}, {"width": 3}, {"pixel_type": "GRAY8"}, {"height": 2, "width": 3}])
def test_images_left_when_the_camera_was_changed_are_counted_and_never_read(emulator, watch, change):
    live(emulator, frames=3)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    with emulator.lock:
        emulator.camera.shoot(25)
        emulator.camera.live = False
        for name, value in change.items():
            setattr(emulator.camera, name, value)
    watched.until_said("was changed in Micro-Manager")
    [lost] = [one for one in watched.all if isinstance(one, Lost)]
    assert (lost.count, lost.cause) == (25, LossCause.CHANGED)
    frames = [one for one in watched.all if isinstance(one, CameraFrame)]
    assert [shot.number for shot in frames] == [2]


def test_numbers_that_begin_again_are_a_new_stream_and_said_to_be(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    shoot(emulator, 9)
    watched.until(CameraFrame, 10)
    live(emulator, frames=4)
    assert "estimated by the camera's clock" in watched.until_said("restarted")
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    assert [shot.number for shot in watched.until(CameraFrame, 4)] == [0, 1, 2, 3]
    assert lost_in(watched.all) == 0


def test_live_mode_off_is_waited_out_and_its_last_frames_are_seen(emulator, watch):
    watched = watch(emulator.port)
    watched.until_said(PRESS_LIVE)
    live(emulator, frames=2)
    assert [shot.number for shot in watched.until(CameraFrame, 2)] == [0, 1]
    with emulator.lock:
        emulator.camera.shoot(3)
        emulator.camera.live = False
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [2, 3, 4]
    watched.until_said(STOPPED)
    assert watched.quiet(2) == [Waiting(STOPPED)] * 2
    live(emulator, frames=1)
    assert len(watched.until(StreamInfo)) == len(watched.until(CameraFrame)) == 1


def test_frames_that_come_as_live_mode_is_found_stopped_are_seen(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    emulator.camera.last_words = 3
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [1, 2, 3]
    watched.until_said(STOPPED)


def test_micromanager_may_be_started_later(watch):
    [port] = free_ports(1)
    watched = watch(port)
    said = watched.until_said("start it")
    assert said == f"Micro-Manager on port {port}: start it and tick Tools > Options > 'Run server on port {port}'"
    with BridgeEmulator(port) as emulator:
        live(emulator, frames=1)
        assert watched.until(CameraFrame)[0].number == 0
        watched.close()


def test_a_bridge_that_fails_is_attached_to_again(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    watched.until(CameraFrame)
    emulator.fail("target is null")
    assert "target is null" in watched.until_said("failed")
    shoot(emulator, 2)
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    shoot(emulator, 1)
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [1, 2, 3]  # those of the outage, too
    assert lost_in(watched.all) == 0


def test_a_restart_while_the_bridge_failed_is_no_sequence_that_goes_on(emulator, watch):
    live(emulator, frames=3)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    shoot(emulator, 4)
    watched.until(CameraFrame, 4)
    emulator.fail("target is null")
    watched.until_said("failed")
    live(emulator, frames=2)
    watched.until_said(RESTARTED)
    watched.until(StreamInfo)
    shoot(emulator, 1)
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [0, 1, 2]


def test_connections_that_are_given_up_are_closed_on_the_side_of_micromanager(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    for _ in range(2):
        watched.until(CameraFrame)
        shoot(emulator, 1)
        assert emulator.connections == 1
        emulator.faults = 2  # a look for an image that is not there yet may take one
        watched.until_said("device is busy")
        wait_until(lambda: emulator.connections == 0)
        assert emulator.handles == 0


def test_a_new_field_is_a_new_stream(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    watched.until(CameraFrame)
    with emulator.lock:
        emulator.camera.roi, emulator.camera.height = "0-0-6-8", 8
        emulator.camera.start()
        emulator.camera.shoot()
    [second] = watched.until(StreamInfo)
    assert (second.height, second.roi_yx) == (8, (0, 0))
    assert second.stream != first.stream
    assert watched.until(CameraFrame)[0].pixels.shape == (8, 6)


@pytest.mark.parametrize(("library", "lost"), [("HamamatsuHam", 3), ("DemoCamera", 0)])
def test_frames_lost_inside_the_camera_are_told_by_its_clock(emulator, watch, library, lost):
    """A simulated camera computes its images when it is given time: a late one was not lost."""
    emulator.camera.library = library
    live(emulator, frames=20)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    followed(emulator, watched, 20)
    with emulator.lock:
        emulator.camera.miss(3)
    followed(emulator, watched, 40)
    assert (lost_in_camera(watched.all), lost_in(watched.all)) == (lost, 0)


def test_numbers_that_begin_again_with_every_emptied_buffer_are_a_new_stream(emulator, watch):
    emulator.camera.numbers_begin_again, emulator.camera.capacity = True, 30
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    followed(emulator, watched, 29)
    shoot(emulator, 3)
    watched.until_said("restarted, or its buffer emptied")
    watched.until(StreamInfo)
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [0, 1, 2]


@pytest.mark.parametrize("comment", ["@", "a@b", "@7ffffff0", "@7ffffff1_2", "me@lab.org @ 100x"])
def test_an_at_sign_in_the_metadata_harms_nobody(emulator, watch, comment):
    emulator.camera.comment = comment
    live(emulator, frames=1)
    watched = watch(emulator.port)
    shots = watched.until(CameraFrame)
    shoot(emulator, 2)
    shots += watched.until(CameraFrame, 2)
    for shot in shots:
        np.testing.assert_array_equal(shot.pixels, np.full((4, 6), shot.number))


def test_slow_answers_cost_no_frame(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(CameraFrame)
    emulator.delay_s = 0.02
    for _ in range(4):
        shoot(emulator, 5)
        watched.until(CameraFrame, 5)
    assert lost_in(watched.all) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [({"exposure_ms": 30.0}, "exposure"), ({"pixel_um": 0.065}, "pixel size"), ({"binning": "1"}, "binning")],
)
def test_a_changed_setting_is_a_new_stream_and_said_to_be(emulator, watch, change, said):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    watched.until(CameraFrame)
    with emulator.lock:
        for name, value in change.items():
            setattr(emulator.camera, name, value)

    def next_frame():
        shoot(emulator, 1)
        happening = watched.next()
        return happening if isinstance(happening, Waiting) else None

    assert wait_until(next_frame).detail == f"a new stream begins: changed in Micro-Manager: {said}"
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    changed = {"exposure": second.exposure_ms, "pixel size": second.pixel_nm, "binning": second.binning}[said]
    assert changed == {"exposure": 30.0, "pixel size": pytest.approx(65.0), "binning": 1}[said]


def test_colour_is_refused_with_what_to_do(emulator, watch):
    live(emulator, frames=1)
    emulator.camera.pixel_type = "RGB32"
    watched = watch(emulator.port)
    assert "set its PixelType to 8bit or 16bit" in watched.until_said("RGB32")
    with emulator.lock:
        emulator.camera.pixel_type = "GRAY16"
        emulator.camera.start()
        emulator.camera.shoot()
    assert len(watched.until(StreamInfo)) == len(watched.until(CameraFrame)) == 1


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("micromanager:scope-pc:4827", r"own machine only.*on the microscope PC"),
        ("micromanager:4827", r"not HOST:PORT.*micromanager:127\.0\.0\.1:4827"),
        ("micromanager:127.0.0.1:0", "not HOST:PORT"),
        ("micromanager:127.0.0.1:high", "not HOST:PORT"),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_what_to_do(uri, said, stop):
    with pytest.raises(InputError, match=said):
        MicroManager(SourceSection(uri=uri), stop, Resume())
