"""Layout of the window: first start, second screen, what is remembered."""

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from client_stream import STREAM
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Qt

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import posix

from client.trust.strip import TrustLine
from client.window.demo import Demo
from daemon.protocol.codec import encode
from selfstorm.frames import StreamInfo


def test_the_first_start_explains_itself_once(open_window):
    first = open_window()
    assert first.window.welcome.isVisible()
    assert not first.window.sr.message.isVisible()
    middle = first.window.picture_area.geometry().center() - first.window.welcome.geometry().center()
    assert middle.manhattanLength() <= 2
    first.window.welcome.button.click()
    assert not first.window.welcome.isVisible()
    assert not open_window().window.welcome.isVisible()


def test_layout_look_and_mode_are_remembered(open_window):
    first = open_window()
    first.do("split")
    first.do("light")
    default = first.window.side.sizes()[0]
    first.window.side.setSizes([180, 500])
    first.window.close()
    second = open_window()
    assert second.window.sr.mode == "split"
    assert second.window.menu_actions["light"].isChecked()
    assert second.window.side.sizes()[0] < 0.75 * default
    second.do("light")
    assert QtWidgets.QApplication.instance().property("theme") == "dark"


def test_the_raw_mean_beside_can_be_put_away(showing):
    showing.do("raw")
    showing.until(lambda: not showing.window.raw.isVisible())
    showing.do("raw")
    showing.until(showing.window.raw.isVisible)


def test_the_window_fits_a_small_screen(showing):
    assert showing.window.minimumSizeHint().width() <= 1280
    assert showing.window.minimumSizeHint().height() <= 800


def hidden(window):
    parts = (window.menuBar(), window.tool_bar, window.side, window.time_bar, window.foot, window.sr.header_bar)
    return {part.isVisible() for part in (*parts, *window.strip.cells.values())}


def crosshair(showing):
    """True where its lines are visible and the mouse has just moved."""
    scene = showing.window.sr.view.mapViewToScene(QtCore.QPointF(0.05, 0.15))
    showing.window.sr.plot.scene().sigMouseMoved.emit(scene)
    return {line.isVisible() for lines in showing.window.crosshair.lines for line in lines}


def test_the_second_screen_shows_the_picture_and_its_sentence_alone(showing, publisher, qtbot):
    window = showing.window
    assert hidden(window) == crosshair(showing) == {True}
    qtbot.keyClick(window, Qt.Key.Key_F11)
    showing.until(window.isFullScreen)
    assert hidden(window) == {False}
    assert window.strip.line.isVisible()
    assert window.sr.plot.isVisible()
    showing.until(lambda: window.minimumSizeHint().width() < 500)
    publisher.send_window(1)
    showing.until(lambda: showing.shows(1))
    assert hidden(window) == crosshair(showing) == {False}
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    showing.until(lambda: not window.isFullScreen())
    assert hidden(window) == crosshair(showing) == {True}


def test_a_recording_is_seen_in_the_window_and_its_title(showing, publisher, port):
    info = StreamInfo(stream=STREAM, source="camera", height=512, width=512, dtype="uint16")
    publisher.send(encode("info", info))
    assert showing.window.strip.recording.text() == ""
    assert showing.window.windowTitle() == f"tcp://127.0.0.1:{port} – Self-STORM live"
    publisher.state = {"recording": "raw/1", "recorded_frames": 4000, "recording_fits": 100_000}
    showing.until(lambda: "REC" in showing.window.windowTitle())
    assert showing.window.strip.recording.text() == "● REC  4,000 frames, 2.10 GB, 33 min of disk left"


def test_a_sentence_of_two_lines_moves_nothing_below_it(qtbot):
    line = TrustLine()
    qtbot.addWidget(line)
    line.resize(800, 60)
    line.show_text("All is well.")
    height = line.minimumHeight()
    line.show_text(" ".join(["one finding, and its remedy."] * 6))
    assert 1.5 * line.fontMetrics().lineSpacing() < line.heightForWidth(800) <= height
    assert line.minimumHeight() == height


def test_a_demo_that_cannot_start_is_said(open_window, qtbot):
    viewer = open_window(demo=Demo((sys.executable, "-c", "raise SystemExit('error: no demo today')")))
    viewer.do("demo")
    assert "The demo is starting" in viewer.window.strip.line.text()
    viewer.until(lambda: "no demo today" in viewer.window.message.full_text)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_demo_leaves_nothing_behind_but_what_was_recorded(recorded, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    demo = Demo((sys.executable, "-c", f"if {recorded}: open('cell.tif', 'w').close()"))
    demo.start()
    qtbot.waitUntil(lambda: not demo.running, timeout=20_000)
    assert [path.name for path in tmp_path.rglob("*.tif")] == ["cell.tif"] * recorded
    assert any(tmp_path.iterdir()) is recorded
    assert demo.kept == list(tmp_path.iterdir())


KILLED = """
import os, sys
from PySide6 import QtCore
from client.window.demo import TIED, Demo

application = QtCore.QCoreApplication([])
demo = Demo((sys.executable, "-c", f"{TIED}import time; time.sleep(60)"))
demo.start()
demo._process.waitForStarted()
os._exit(1)
"""


@posix
def test_the_demo_does_not_outlive_a_viewer_that_is_killed():
    held, inherited = os.pipe()  # it is at its end once the viewer and the demo, which inherit it, have ended
    subprocess.run([sys.executable, "-c", KILLED], pass_fds=[inherited], timeout=60, check=False)
    os.close(inherited)
    ended, *_ = select.select([held], [], [], 30)
    os.close(held)
    assert ended
