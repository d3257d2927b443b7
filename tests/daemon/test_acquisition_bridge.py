"""An acquisition of the daemon's own, over the bridge's protocol."""

import numpy as np
import pytest
from watched import READ_ONLY

from daemon.sources.camera import Shot
from selfstorm.frames import StreamInfo

pytestmark = pytest.mark.filterwarnings("ignore:unclosed socket <zmq.Socket:ResourceWarning")

CHANNEL = {"channel_group": "Channel", "channel": "Cy5"}


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
    watched = watch(emulator.port, acquisition={"frames": 30})
    shots = watched.until(Shot, 10)
    emulator.fail("target is null")
    with emulator.lock:
        emulator.camera.live, emulator.camera.to_come = False, 0
    watched.until_said("failed")
    shots += watched.until(Shot, 20)
    assert [shot.number for shot in shots] == list(range(30))
    with pytest.raises(StopIteration):
        watched.until(Shot)


def test_live_mode_has_none_of_these_rights(emulator, watch):
    emulator.camera.owned = True
    with emulator.lock:
        emulator.camera.start()
        emulator.camera.shoot(3)
    watch(emulator.port).until(Shot)
    assert set(emulator.calls) <= READ_ONLY
