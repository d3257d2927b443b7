"""An acquisition of the daemon's own: every frame in order, and Micro-Manager as it was before, whatever ended it."""

import numpy as np
import pytest
from daemon_process import write_config
from watched import Watched

from daemon.config import load
from daemon.sources.acquisition import Acquisition, AcquisitionSection
from daemon.sources.camera import CameraFrame, Resume
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

CHANNEL = {"channel_group": "Channel", "channel": "Cy5"}


@pytest.fixture(scope="module")
def core():
    """The real core as pycromanager's Python backend gives it."""
    mm_test_adapters = pytest.importorskip("mm_test_adapters")
    from pathlib import Path

    from pycromanager import Core, start_headless, stop_headless

    adapters = mm_test_adapters.device_adapter_path()
    start_headless(str(adapters), config_file=str(Path(adapters) / "MMConfig_demo.cfg"), python_backend=True)
    core = Core()
    core.set_property("Camera", "PixelType", "16bit")
    core.set_roi(16, 32, 64, 48)
    core.set_exposure(20.0)
    core.set_config("Channel", "DAPI")
    yield core
    stop_headless()


def state_of(core):
    state = core.get_system_state_cache()
    settings = (state.getSetting(index) for index in range(state.size()))
    return {(one.getDeviceLabel(), one.getPropertyName()): one.getPropertyValue() for one in settings}


def everything(core, stop, **wanted):
    watched = Watched(Acquisition(core, "micromanager:", AcquisitionSection(**wanted), Resume(), stop))
    with pytest.raises(StopIteration):
        watched.until(StreamInfo, 2)
    return watched


def test_every_frame_comes_in_order_and_the_settings_go_back(core, stop):
    core.update_system_state_cache()
    core.set_shutter_open(False)  # the demonstration shutter begins open or closed, as it happens
    core.update_system_state_cache()
    before, exposure_ms = state_of(core), core.get_exposure()
    watched = everything(core, stop, frames=300, exposure_ms=5.0, **CHANNEL)
    info, *shots = watched.all
    assert [shot.number for shot in shots] == list(range(300))
    assert (info.exposure_ms, info.height, info.width, info.roi_yx, info.bit_depth) == (5.0, 48, 64, (32, 16), 16)
    assert {shot.pixels.shape for shot in shots} == {(48, 64)}
    assert np.all(np.diff([shot.camera_ms for shot in shots]) > 0)
    core.update_system_state_cache()
    assert dict(state_of(core).items() ^ before.items()) == {}
    assert core.get_exposure() == exposure_ms


def test_frames_at_an_interval_are_taken_one_by_one(core, stop):
    watched = everything(core, stop, frames=5, exposure_ms=5.0, interval_ms=60.0)
    info, *shots = watched.all
    assert [shot.number for shot in shots] == list(range(5))
    assert shots[-1].camera_ms - shots[0].camera_ms >= 200
    assert info.rate_hz == pytest.approx(1000 / 60)


def test_a_camera_that_states_no_exposure_is_filmed_all_the_same(core, stop):
    core.set_exposure(0.0)
    try:
        info, *shots = everything(core, stop, frames=3).all
    finally:
        core.set_exposure(20.0)
    assert (info.exposure_ms, info.rate_hz, len(shots)) == (0.0, None, 3)


def test_one_that_is_left_early_stops_the_camera_and_puts_everything_back(core, stop):
    watched = Watched(Acquisition(core, "micromanager:", AcquisitionSection(frames=10_000, **CHANNEL), Resume(), stop))
    watched.until(CameraFrame, 3)
    assert core.get_current_config("Channel") == "Cy5"
    watched.close()
    assert (core.is_sequence_running(), core.get_current_config("Channel")) == (False, "DAPI")


def test_it_waits_until_live_mode_is_off(core, stop):
    core.start_continuous_sequence_acquisition(0)
    watched = Watched(Acquisition(core, "micromanager:", AcquisitionSection(frames=3), Resume(), stop))
    assert "stop it in Micro-Manager" in watched.until_said("live mode")
    core.stop_sequence_acquisition()
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [0, 1, 2]
    watched.close()


def test_a_channel_that_is_not_there_is_named(core, stop):
    wanted = AcquisitionSection(frames=3, channel_group="Channel", channel="Cy7")
    watched = Watched(Acquisition(core, "micromanager:", wanted, Resume(), stop))
    with pytest.raises(InputError, match=r"no preset 'Cy7' in a group 'Channel'.*\[source.acquisition\]"):
        watched.until(CameraFrame)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"uri": "simulate:", "acquisition": {"frames": 3}}, 'uri = "micromanager:"'),
        ({"uri": "micromanager:", "acquisition": {"frames": 3, "channel": "Cy5"}}, "belong together"),
        ({"uri": "micromanager:", "acquisition": {"frames": 3, "exposure": 5}}, "did you mean 'exposure_ms'?"),
    ],
)
def test_a_mistake_in_the_section_is_explained(tmp_path, section, said):
    with pytest.raises(InputError) as caught:
        load(write_config(tmp_path / "daemon.toml", {"source": section}), {})
    assert said in str(caught.value)
