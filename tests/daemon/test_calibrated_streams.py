"""A live stream is converted with the calibration of its camera, named or found by name."""

import numpy as np
import pytest

from daemon.config import Config
from daemon.stream_settings import stream_settings
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.io import camera_file
from selfstorm.io.camera_file import save_calibration
from selfstorm.physics.camera_maps import CameraCalibration

MAPS = CameraCalibration(
    "Cam",
    *(np.full((20, 30), value, np.float32) + np.arange(30, dtype=np.float32) for value in (100.0, 4.0, 1.5)),
    np.zeros((20, 30), bool),
)


@pytest.fixture(autouse=True)
def stored(tmp_path, monkeypatch):
    monkeypatch.setattr(camera_file, "calibrations_folder", lambda: tmp_path)
    save_calibration(MAPS, ())


def stream(**changes):
    known = {"stream": "stream-1", "source": "mmcore:", "height": 8, "width": 9, "dtype": "uint16", "pixel_nm": 100.0}
    return StreamInfo(**(known | {"roi_yx": (2, 5), "camera": "Cam (DCam)"} | changes))


def pixels(info, **sections):
    return stream_settings(Config.model_validate(sections), info).pixels


def test_the_calibration_named_like_the_camera_is_cut_to_the_region():
    np.testing.assert_array_equal(pixels(stream()).offset_adu, MAPS.offset_adu[2:10, 5:14])
    assert pixels(stream(camera="Other")) is None
    assert pixels(stream(), camera={"offset_adu": 90.0}) is None
    assert pixels(stream(), camera={"calibration": "none"}) is None
    assert pixels(stream(), reconstruction={"model": "paper"}) is None


def test_one_that_was_named_is_used_or_refused():
    assert pixels(stream(camera="Other"), camera={"calibration": "cam"}).shape == (8, 9)
    for info, fault in ((stream(roi_yx=(15, 0)), "covers"), (stream(binning=2), "binning")):
        with pytest.raises(InputError, match=fault):
            pixels(info, camera={"calibration": "Cam"})
    with pytest.raises(InputError, match="uses no calibration"):
        pixels(stream(), camera={"calibration": "Cam"}, reconstruction={"model": "paper"})
    with pytest.raises(ValueError, match="given twice"):
        pixels(stream(), camera={"calibration": "Cam", "offset_adu": 90.0})


def test_one_that_was_found_and_does_not_fit_is_left_out_and_logged(caplog):
    assert pixels(stream(binning=2)) is None
    assert "going on without it" in caplog.text
