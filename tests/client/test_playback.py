"""Looking back and playing: what is shown, and what is kept."""

import sys
from pathlib import Path

import pytest
from PySide6 import QtCore
from PySide6.QtCore import Qt

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))


from daemon.protocol.address import DaemonAddress


@pytest.fixture
def followed(showing, publisher):
    """Windows 0 to 4 were shown."""
    for window in range(1, 5):
        publisher.send_window(window, level=window + 1)
        showing.until(lambda window=window: showing.shows(window))
    return showing


def test_scrubbing_back_holds_while_new_windows_come(followed, publisher, qtbot):
    bar = followed.window.time_bar
    qtbot.mousePress(bar.scrubber, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(round(bar.scrubber.x_of(1)), 12))
    assert followed.shows(1)
    publisher.send_window(5)
    followed.until(lambda: followed.state.windows == 6)
    assert bar.scrubber.last == 4  # still while it is held
    qtbot.mouseRelease(bar.scrubber, Qt.MouseButton.LeftButton)
    assert followed.shows(1)
    assert followed.window.sr.chip.text().startswith("PAST ")
    assert followed.window.sr.chip.width() >= followed.window.sr.chip.sizeHint().width()
    assert followed.window.raw.picture.window == ("first-run", 1)
    assert not bar.live.isChecked()
    bar.live.click()
    assert followed.shows(5)
    assert not followed.window.sr.chip.isVisible()


def test_keys_step_mark_and_come_back(followed, qtbot):
    def press(key):
        qtbot.keyClick(followed.window, key)

    press(Qt.Key.Key_Left)
    press(Qt.Key.Key_Left)
    assert followed.shows(2)
    press(Qt.Key.Key_M)
    press(Qt.Key.Key_Home)
    assert followed.shows(0)
    press(Qt.Key.Key_BracketRight)
    assert followed.shows(2)
    followed.until(lambda: "MARK  window 2" in followed.window.events.list.item(0).text())
    press(Qt.Key.Key_End)
    assert followed.shows(4)
    assert followed.window.time_bar.live.isChecked()


def test_holding_stops_a_live_picture_and_playing_on_catches_up(followed, publisher):
    followed.do("play")
    publisher.send_window(5)
    followed.until(lambda: followed.state.windows == 6)
    assert followed.shows(4)
    followed.do("play")
    followed.until(lambda: followed.shows(5))
    followed.until(lambda: followed.state.playhead.at is None)


def test_playing_runs_through_the_windows_and_ends_live(followed):
    followed.do("oldest")
    followed.do("play")
    followed.until(lambda: followed.shows(3))
    followed.until(lambda: followed.state.playhead.at is None)
    assert followed.shows(4)


def test_a_looping_play_starts_again(followed):
    followed.do("loop")
    assert followed.window.time_bar.loop.isChecked()
    followed.do("forward")
    followed.do("play")
    followed.until(lambda: followed.shows(4))
    followed.until(lambda: followed.shows(0))
    followed.do("play")
    assert not followed.state.playhead.playing


def test_another_daemon_is_another_story(followed, open_window):
    followed.session.connect(DaemonAddress("tcp://127.0.0.1:1"))
    assert followed.window.sr.picture is None
    assert followed.window.facts.text.text() == ""
    assert followed.state.windows == 0
    assert "Waiting" in followed.window.sr.message.text()
