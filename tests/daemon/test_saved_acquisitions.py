"""An acquisition of Micro-Manager's window: recognised, and its data set followed where the window names it."""

import numpy as np
import pytest
from daemon_process import wait_until
from emulated_interfaces import Studio
from watched import live, shoot

from daemon.sources import growing, ndtiff, saved_acquisitions
from daemon.sources.camera import CameraFrame, Note
from selfstorm.frames import StreamInfo

pytest.importorskip("ndstorage.ndtiff_dataset")
from test_ndtiff import Writer

FRAMES = np.arange(3 * 6 * 8, dtype=np.uint16).reshape(3, 6, 8)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(saved_acquisitions, "QUIET_S", 0.0)
    monkeypatch.setattr(saved_acquisitions, "ASK_S", 0.02)
    monkeypatch.setattr(growing, "SETTLE_S", 0.05)
    monkeypatch.setattr(ndtiff, "QUIET_S", 0.1)


def noted(watched, text):
    """Wait for a note with a text."""
    return wait_until(lambda: isinstance(one := watched.next(), Note) and text in one.text and one.text)


def test_a_data_set_that_the_window_names_is_followed_to_its_end_and_then_live_mode_again(emulator, watch, tmp_path):
    emulator.studio = Studio(root=str(tmp_path))
    watched = watch(emulator.port)
    written = Writer(tmp_path)
    written.put(FRAMES[:3])
    assert str(written.folder) in noted(watched, "is followed")
    [info] = watched.until(StreamInfo)
    assert (info.source, len(watched.until(CameraFrame, 3))) == (f"ndtiff:{written.folder}", 3)
    written.put(FRAMES[:2])
    written.finish()
    watched.until(CameraFrame, 2)
    emulator.studio.runs = False
    watched.until_said("press Live")
    live(emulator, frames=1)
    assert watched.until(StreamInfo)[0].source.startswith("micromanager:")
    watched.until(CameraFrame)
    shoot(emulator, 2)
    watched.until(CameraFrame, 2)
    assert not {name for name in emulator.calls if name.startswith(("set", "start", "stop", "pop", "clear"))}


def test_a_data_set_that_is_never_finished_ends_with_its_acquisition(emulator, watch, tmp_path):
    emulator.studio = Studio(root=str(tmp_path))
    watched = watch(emulator.port)
    written = Writer(tmp_path)
    written.put(FRAMES[:2])
    watched.until(CameraFrame, 2)
    emulator.studio.runs = False
    watched.until_said("press Live")
    written.finish()


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ({"save": False}, "tick Save images"),
        ({"settings": False}, "tick Save images"),
        ({"root": "nowhere"}, "no NDTiff data set of it is in nowhere"),
    ],
)
def test_an_acquisition_that_cannot_be_followed_is_named_with_what_to_do(emulator, watch, window, says):
    emulator.studio = Studio(**window)
    noted(watch(emulator.port), says)


@pytest.mark.parametrize("window", [None, Studio(fault="java.lang.NullPointerException"), Studio(runs=False)])
def test_a_window_that_is_not_there_throws_or_is_idle_disturbs_nothing(emulator, watch, window):
    emulator.studio = window
    watched = watch(emulator.port)
    wait_until(lambda: watched.next() and emulator.calls.count("get-constructors") > 1)
    live(emulator, frames=1)
    watched.until(CameraFrame)
    shoot(emulator, 3)
    assert [shot.number for shot in watched.until(CameraFrame, 3)] == [1, 2, 3]
    assert not [one for one in watched.all if isinstance(one, Note)]


def test_a_window_that_never_answers_holds_nothing_up(emulator, watch):
    emulator.studio = Studio(slow=True)
    watched = watch(emulator.port)
    wait_until(lambda: watched.next() and emulator.studio.asked)
    live(emulator, frames=1)
    watched.until(CameraFrame)
    shoot(emulator, 3)
    assert len(watched.until(CameraFrame, 3)) == 3
