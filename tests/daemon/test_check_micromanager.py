"""`selfstorm-daemon check` beside a Micro-Manager: its camera, live mode and the rate of its bridge."""

import re

import pytest
from watched import READ_ONLY, live

from daemon.check.core import micromanager
from daemon.check.probes import line
from daemon.sources.section import source_of


@pytest.fixture
def micromanager_says(emulator):
    """micromanager_says(): the findings about the emulated Micro-Manager, its version aside."""
    pytest.importorskip("pycromanager")

    def findings():
        answers, *found = micromanager(source_of(f"micromanager:127.0.0.1:{emulator.port}"))
        assert answers.level == "good"
        assert (emulator.handles, set(emulator.calls) <= READ_ONLY) == (0, True)
        return [(one.name, one.level, line(one)) for one in found]

    return findings


def test_a_micromanager_without_a_camera(emulator, micromanager_says):
    emulator.camera.label = ""
    [(_, level, said)] = micromanager_says()
    assert level == "bad"
    assert "no camera is loaded -> load a configuration with a camera" in said


@pytest.mark.parametrize(
    ("pixel_um", "pixel_level", "pixel_said"),
    [(0.1, "good", "100 nm"), (1.0, "warning", "1000 nm"), (0.0, "warning", "not calibrated")],
)
def test_a_micromanager_that_does_nothing(pixel_um, pixel_level, pixel_said, emulator, micromanager_says):
    emulator.camera.pixel_um = pixel_um
    [(_, level, said), pixel] = micromanager_says()
    assert (level, "neither live mode nor an acquisition is running" in said) == ("good", True)
    assert (pixel[:2], pixel_said in pixel[2]) == (("pixel size", pixel_level), True)


def test_a_look_is_timed_and_says_what_frame_rate_can_be_followed(emulator, micromanager_says):
    live(emulator, frames=20)
    emulator.delay_s = 0.01  # of five answers
    [(_, level, running), (name, rate_level, said)] = micromanager_says()
    assert (level, "live mode, or an acquisition" in running) == ("good", True)
    assert (name, rate_level) == ("frame rate", "good")
    look_ms, rate_hz = map(float, re.search(r"6 x 4 px takes ([\d.]+) ms: up to (\d+) frames/s", said).groups())
    assert look_ms >= 50
    assert rate_hz == pytest.approx(880 / look_ms, abs=1)


def test_a_camera_that_is_faster_than_looks_is_warned_of(emulator, micromanager_says, monkeypatch):
    live(emulator, frames=20)
    monkeypatch.setattr(emulator.camera, "tagged_image", shooting(emulator.camera, emulator.camera.tagged_image, 3))
    *_, (_, level, said) = micromanager_says()
    assert (level, "use a smaller region or a longer exposure" in said) == ("warning", True)


def test_an_acquisition_that_takes_the_images_is_said_to(emulator, micromanager_says, monkeypatch):
    live(emulator, frames=20)
    look = shooting(emulator.camera, emulator.camera.tagged_image, 2)

    def look_and_pop(distance):
        emulator.camera.pop(2)
        return look(distance)

    monkeypatch.setattr(emulator.camera, "tagged_image", look_and_pop)
    [(_, level, said), _] = micromanager_says()
    assert level == "warning"
    assert "an acquisition, or another program, takes the images out" in said
    assert "ndtiff:DIR" in said


def shooting(camera, look, count):
    """A look during which the camera takes so many images."""

    def look_later(distance):
        camera.shoot(count)
        return look(distance)

    return look_later


def test_a_bridge_that_fails_is_said_to(emulator, micromanager_says):
    emulator.faults = 1
    [(_, level, said)] = micromanager_says()
    assert (level, "its bridge failed: java.lang.Exception: device is busy" in said) == ("bad", True)
