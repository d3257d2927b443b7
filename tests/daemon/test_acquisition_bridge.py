"""An acquisition of the daemon's own, over the bridge's protocol."""

import os
import signal

import numpy as np
import pytest
from daemon_process import Daemon, Results, account_closes, posix, simulated, wait_until
from watched import READ_ONLY

from daemon.sources.camera import CameraFrame
from selfstorm.frames import StreamInfo

CHANNEL = {"channel_group": "Channel", "channel": "Cy5"}


def nearly_over(emulator):
    """Shorten a sequence that is waited out: nobody takes what is left of it, a frame each time it is asked about."""
    with emulator.lock:
        emulator.camera.to_come = min(emulator.camera.to_come, 3)


def test_every_frame_comes_in_order_and_everything_is_put_back(emulator, watch):
    emulator.camera.owned = True
    before = dict(emulator.camera.properties)
    watched = watch(emulator.port, acquisition={"frames": 40, "exposure_ms": 5.0, **CHANNEL})
    with pytest.raises(StopIteration):
        watched.until(StreamInfo, 2)
    info, *shots = watched.all
    assert [shot.number for shot in shots] == list(range(40))
    for shot in shots:
        np.testing.assert_array_equal(shot.pixels, np.full((4, 6), shot.number))
    assert (info.exposure_ms, info.roi_yx, info.binning) == (5.0, (32, 16), 2)
    assert (emulator.camera.exposure_ms, emulator.camera.properties) == (10.0, before)
    assert emulator.calls.count("setConfig") == 1
    assert emulator.handles == 0


def test_an_acquisition_whose_bridge_fails_goes_on_with_what_is_left(emulator, watch):
    emulator.camera.owned = True
    before = emulator.camera.exposure_ms, dict(emulator.camera.properties)
    watched = watch(emulator.port, acquisition={"frames": 30, "exposure_ms": 5.0, **CHANNEL})
    shots = watched.until(CameraFrame, 10)
    emulator.fail("target is null")
    watched.until_said("failed")
    watched.until_said("broken off")
    nearly_over(emulator)
    shots += watched.until(CameraFrame, 20)
    assert [shot.number for shot in shots] == list(range(30))
    with pytest.raises(StopIteration):
        watched.until(CameraFrame)
    assert (emulator.camera.exposure_ms, emulator.camera.properties) == before


@posix
def test_what_a_killed_camera_process_had_set_is_put_back_by_the_next_one(emulator, tmp_path):
    camera, wanted = emulator.camera, {"frames": 150, "exposure_ms": 5.0, **CHANNEL}
    camera.owned, camera.height, camera.width = True, 16, 16
    before = camera.exposure_ms, dict(camera.properties)
    settings = simulated(window=50, stride=50)
    settings["source"] = {"uri": f"micromanager:127.0.0.1:{emulator.port}", "acquisition": wanted}
    with Daemon(tmp_path, settings) as daemon, Results(daemon.results) as results:
        camera_process = daemon.started().child("daemon.sources")
        emulator.delay_s = 0.05  # or it may have ended before it is killed

        def some_came():
            return daemon.status().frames.received >= 5

        wait_until(some_came)
        os.kill(camera_process, signal.SIGKILL)
        emulator.delay_s = 0.0
        nearly_over(emulator)
        assert "before exposure 10 ms, Dichroic-Label 400DCLP was put back" in results.event("camera_process_lost").text
        assert daemon.exit_code() == 0, daemon.err
        assert (camera.exposure_ms, camera.properties) == before
        assert "settings_left" not in daemon.err
        assert " = received " in daemon.out, daemon.out
    last = results.messages("status")[-1]
    assert account_closes(last)
    assert last.frames.received >= 150


def test_live_mode_has_none_of_these_rights(emulator, watch):
    emulator.camera.owned = True
    with emulator.lock:
        emulator.camera.start()
        emulator.camera.shoot(3)
    watch(emulator.port).until(CameraFrame)
    assert set(emulator.calls) <= READ_ONLY
