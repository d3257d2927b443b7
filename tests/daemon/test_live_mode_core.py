"""Live mode on the real core: every frame, and nothing done to it."""

import numpy as np
import pytest
from daemon_process import wait_until
from real_core import BridgedCore, demo_camera, settings_of
from watched import Watched, lost_in

from daemon.sources.camera import CameraFrame, Lost, Waiting
from daemon.sources.live_mode import PRESS_LIVE, STOPPED, LiveMode
from daemon.sources.losses import LossCause
from selfstorm.frames import StreamInfo


@pytest.mark.parametrize("exposure_ms", [10.0, 20.0])
def test_the_real_core_is_followed_without_being_touched(stop, exposure_ms):
    with demo_camera(exposure_ms=exposure_ms) as core:
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        assert watched.next() == Waiting(PRESS_LIVE)
        core.startContinuousSequenceAcquisition(0)
        before = settings_of(core)
        [info] = watched.until(StreamInfo)
        shots = watched.until(CameraFrame, 200)
        numbers = [shot.number for shot in shots]
        assert len(shots) + lost_in(watched.all) == numbers[-1] - numbers[0] + 1
        assert lost_in(watched.all) == 0
        assert numbers[0] == 0
        assert settings_of(core) == before
        core.stopSequenceAcquisition()
        # What is still in the buffer belongs to the sequence; then it is over, and not one image was popped.
        watched.until_said(STOPPED)
        everything = [happening for happening in watched.all if isinstance(happening, CameraFrame)]
        assert core.getRemainingImageCount() == everything[-1].number + 1 == len(everything)
        for shot in everything[-20:]:
            pixels, metadata = core.getNBeforeLastImageAndMD(everything[-1].number - shot.number)
            assert shot.number == int(metadata["ImageNumber"])
            assert shot.camera_ms == float(metadata["ElapsedTime-ms"])
            np.testing.assert_array_equal(shot.pixels, pixels)
        assert (info.height, info.width, info.dtype, info.binning, info.roi_yx) == (128, 128, "uint16", 1, (0, 0))
        assert (info.exposure_ms, info.rate_hz) == (exposure_ms, 1000 / exposure_ms)
        assert info.camera == "Camera (DCam)"
        watched.close()
        del watched


def test_a_stall_longer_than_the_real_buffer_is_counted_to_the_frame(stop):
    with demo_camera(exposure_ms=5.0, buffer_mb=1) as core:
        core.startContinuousSequenceAcquisition(0)
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        capacity = core.getBufferTotalCapacity()
        for _ in range(5):
            last = watched.until(CameraFrame, 20)[-1]

            def overflowed(last=last):
                count = core.getRemainingImageCount()
                return count and int(core.getNBeforeLastImageAndMD(0)[1]["ImageNumber"]) > last.number + 1.5 * capacity

            wait_until(overflowed)
        watched.until(CameraFrame, 20)
        shots = [happening for happening in watched.all if isinstance(happening, CameraFrame)]
        lost = lost_in(watched.all)
        assert len([happening for happening in watched.all if isinstance(happening, StreamInfo)]) == 1
        assert len(shots) + lost == shots[-1].number - shots[0].number + 1
        assert lost >= 5 * capacity / 2
        watched.close()
        del watched


def test_a_script_that_empties_the_real_buffer_hides_no_frame(stop):
    """Its numbers begin again, unlike those of a buffer that overflowed, and its camera's clock goes on."""
    with demo_camera(exposure_ms=10.0) as core:
        core.startContinuousSequenceAcquisition(0)
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        first = watched.until(CameraFrame, 12)[-1]

        def newest():
            count = core.getRemainingImageCount()
            return core.getNBeforeLastImageAndMD(0)[1] if count else None

        wait_until(lambda: int(newest()["ImageNumber"]) > first.number + 20)  # meanwhile nothing is asked
        before = newest()
        core.clearCircularBuffer()
        after = wait_until(lambda: (now := newest()) and int(now["ImageNumber"]) > int(before["ImageNumber"]) and now)
        assert int(after["ImageNumber"]) + 1 == core.getRemainingImageCount()
        assert float(after["ElapsedTime-ms"]) > float(before["ElapsedTime-ms"])
        shots = watched.until(StreamInfo) and watched.until(CameraFrame, 20)
        assert [shot.number for shot in shots] == list(range(20))
        unseen = int(before["ImageNumber"]) - first.number
        causes = {one.cause for one in watched.all if isinstance(one, Lost)}
        assert causes - {LossCause.IN_CAMERA} == {LossCause.RESTARTED}  # a busy machine holds the camera up, too
        assert abs(lost_in(watched.all) - unseen) <= 5  # known ones that were not fetched, and an estimate
        watched.close()
        del watched


def test_the_real_buffer_is_made_for_the_images_of_the_camera_at_the_start_of_a_sequence():
    with demo_camera(exposure_ms=5.0) as core:

        def left_by(**properties):
            for name, value in properties.items():
                core.setProperty("Camera", name, value)
            return core.getBufferTotalCapacity(), core.getRemainingImageCount()

        core.startSequenceAcquisition(3, 0, True)
        wait_until(lambda: not core.isSequenceRunning())
        capacity, images = left_by()
        assert left_by(PixelType="8bit") == left_by(Binning="2") == (capacity, images) == (capacity, 3)
        core.startSequenceAcquisition(3, 0, True)
        wait_until(lambda: not core.isSequenceRunning())
        assert left_by() == (8 * capacity, 3)
        core.setROI(0, 0, 16, 16)
        assert left_by() == (8 * capacity, 0)


def test_a_changed_field_of_the_real_core_is_a_new_stream(stop):
    with demo_camera(exposure_ms=10.0) as core:
        core.startContinuousSequenceAcquisition(0)
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        [first] = watched.until(StreamInfo)
        watched.until(CameraFrame, 3)
        core.stopSequenceAcquisition()
        core.setROI(16, 32, 64, 48)
        core.startContinuousSequenceAcquisition(0)
        [second] = watched.until(StreamInfo)
        [shot] = watched.until(CameraFrame)
        assert second.stream != first.stream
        assert (second.height, second.width, second.roi_yx) == (*shot.pixels.shape, (32, 16)) == (48, 64, (32, 16))
        watched.close()
        del watched


def test_attaching_and_letting_go_twenty_times_changes_nothing_for_the_owner(stop):
    frames = 400
    with demo_camera(exposure_ms=5.0) as core:
        before = settings_of(core)
        core.startSequenceAcquisition(frames, 0, True)
        for _ in range(20):
            watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
            seen = [shot.number for shot in watched.until(CameraFrame, 3)]
            assert seen == list(range(seen[0], seen[0] + 3))
            watched.close()
        wait_until(lambda: not core.isSequenceRunning())
        assert settings_of(core) == before
        assert core.getRemainingImageCount() == frames
        taken = [int(core.popNextImageAndMD()[1]["ImageNumber"]) for _ in range(frames)]
        assert taken == list(range(frames))
        del watched
