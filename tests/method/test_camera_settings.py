"""Read the camera settings of other programs, or say why they cannot be used."""

import pytest

from selfstorm.errors import InputError
from selfstorm.io.camera_settings import read_camera_settings

THUNDERSTORM = (
    'x {"cameraSettings": {"offset": 414.0, "isEmGain": true, "photons2ADU": 3.6, "gain": 100.0, "pixelSize": 80.0}} y'
)
MACRO = (
    'run("Camera setup", "readoutnoise=1.8 offset=170.0 quantumefficiency=0.9 isemgain=false '
    'photons2adu=2.5 pixelsize=110");'
)
PICASSO = """Cameras:
  Zyla:   # room 3
    Baseline: 90
    Pixelsize: 130
    Sensitivity:
      540 MHz:
        12-bit (low noise): 0.25
        16-bit: 0.46
      200 MHz: 0.5
  Other:
    Sensitivity: 1
"""
SMAP = "p.offset=398.6;\nconversion = 5 % e/ADU\nEMon=1\nemgain: 300\ncam_pixelsize_um = 0.1\n"


@pytest.mark.parametrize(
    ("text", "camera", "expected"),
    [
        (THUNDERSTORM, None, (414.0, 100 / 3.6, 100.0, 80.0)),
        (MACRO, None, (170.0, 0.4, 1.0, 110.0)),
        (PICASSO, "Zyla/540 MHz/12-bit (low noise)", (90.0, 4.0, 1.0, 130.0)),
        (PICASSO, "Other", (100.0, 1.0, 1.0, None)),
        (SMAP, None, (398.6, 60.0, 300.0, 100.0)),
        (SMAP.replace("EMon=1", "EMon=0"), None, (398.6, 0.2, 1.0, 100.0)),
    ],
    ids=["thunderstorm", "macro", "picasso", "picasso one", "smap", "smap without em"],
)
def test_settings_of_other_programs_are_read(tmp_path, text, camera, expected):
    path = tmp_path / "settings"
    path.write_text(text, encoding="utf-8")
    found = read_camera_settings(path, camera)
    assert (found.offset_adu, found.gain_adu_per_electron, found.em_gain, found.pixel_nm) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nothing", "no camera settings"),
        (PICASSO, "several cameras"),
        ("Cameras:\n  A:\n    Sensitivity:\n      x: 1\n      y: 2\n", "readout mode"),
        ("offset = 100\nconversion = 0", "electrons per ADU"),
        ('{"cameraSettings": {"offset": 1', "cannot be used"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, text, fault):
    path = tmp_path / "settings"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=fault):
        read_camera_settings(path)
