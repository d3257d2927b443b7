"""Time, tools, keys, memory: the window as a user handles it."""

import sys
from pathlib import Path

import pytest
from client_stream import STREAM
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Qt

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import DAEMON, as_toml, free_ports, posix, simulated

from client.picture.crosshair import describe_point
from client.picture.region import CameraRegion
from client.window.action_table import ACTIONS
from client.window.connect_dialog import ConnectDialog
from client.window.demo import Demo
from client.window.mnemonics import plain
from daemon.protocol.address import DaemonAddress
from daemon.protocol.codec import encode
from selfstorm.frames import StreamInfo
from selfstorm.io.ome_tiff import read_pictures


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
    assert "PAST" in followed.window.sr.chip.text()
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


def test_the_line_profile_is_shown_for_what_is_looked_at(showing, publisher):
    showing.do("profile")
    profile = showing.window.profile
    assert showing.window.tabs.currentWidget() is profile
    assert showing.window.profile_line.ends is None
    showing.drag((0.1, 0.4), (0.7, 0.4))
    before = profile.sr.getData()[1].copy()
    assert profile.sr.getData()[0][-1] == pytest.approx(0.6, abs=0.02)
    assert "raw mean" in profile.raw_width.text()
    publisher.send_window(1, level=float("nan"))
    showing.until(lambda: showing.shows(1))
    assert not (profile.sr.getData()[1] == before).all()
    showing.do("profile")
    assert "draw a line" in profile.sr_width.text()
    assert showing.window.profile_line.ends is None


def test_the_region_is_shown_with_its_numbers(showing):
    showing.do("region")
    showing.drag((0.5, 0.5), (0.2, 0.1))
    assert showing.window.drawn_region == CameraRegion(y=1, x=2, height=4, width=3)
    assert "corner x 2, y 1" in showing.window.region.text.text()
    showing.do("region")
    assert showing.window.drawn_region is None


def test_a_tool_draws_where_the_mouse_is_dragged_and_then_the_view_moves_again(showing):
    before = showing.window.sr.view.viewRect()
    showing.do("profile")
    showing.drag((0.2, 0.2), (0.6, 0.5))
    (x0, y0), (x1, y1) = showing.window.profile_line.ends
    assert (x0, y0, x1, y1) == pytest.approx((0.2, 0.2, 0.6, 0.5), abs=0.02)
    assert showing.window.sr.view.viewRect() == before
    showing.drag((0.5, 0.1), (0.3, 0.1))
    assert showing.window.sr.view.viewRect().center().x() == pytest.approx(before.center().x() + 0.2, abs=0.02)
    assert showing.window.profile_line.ends[0] == pytest.approx((x0, y0))


def test_the_profile_is_averaged_copied_and_saved(showing, tmp_path):
    assert not showing.window.menu_actions["save_profile"].isEnabled()
    showing.do("profile")
    showing.drag((0.1, 0.4), (0.7, 0.4))
    narrow = showing.window.profile.sr.getData()[1].copy()
    showing.window.profile.averaging.setValue(400)
    assert not (showing.window.profile.sr.getData()[1] == narrow).all()
    path = showing.answers["Save profile"] = tmp_path / "profile.csv"
    showing.do("save_profile")
    showing.do("copy_profile")
    lines = path.read_text().splitlines()
    assert QtWidgets.QApplication.clipboard().text().splitlines() == lines
    assert "# averaging width: 0.4 um" in lines
    table = [line.split(",") for line in lines if not line.startswith("#")]
    assert table[0] == ["distance_um", "super_resolved_photons_per_frame", "raw_mean_adu"]
    assert float(table[-1][0]) == pytest.approx(0.6, abs=0.02)


def test_the_region_is_saved_as_a_table(showing, tmp_path):
    showing.do("region")
    showing.drag((0.2, 0.1), (0.5, 0.5))
    path = showing.answers["Save region"] = tmp_path / "region.csv"
    showing.do("save_region")
    rows = [line.split(",") for line in path.read_text().splitlines() if not line.startswith("#")]
    assert [row[:2] for row in rows] == [["picture", "unit"], ["super-resolved", "photons/frame"], ["raw mean", "ADU"]]
    assert "# region: x 2, y 1, 3 x 4 camera pixels" in path.read_text()


def test_values_under_a_resting_mouse_follow_the_picture(showing, publisher):
    plot, view = showing.window.sr.plot, showing.window.sr.view
    plot.scene().sigMouseMoved.emit(view.mapViewToScene(QtCore.QPointF(0.05, 0.15)))
    assert "raw 9 ADU" in showing.window.cursor_label.full_text
    publisher.send_window(1, level=2.0)
    showing.until(lambda: showing.shows(1))
    assert "raw 18 ADU" in showing.window.cursor_label.full_text


def test_the_raw_mean_beside_can_be_put_away(showing):
    showing.do("raw")
    showing.until(lambda: not showing.window.raw.isVisible())
    showing.do("raw")
    showing.until(showing.window.raw.isVisible)


def test_no_key_is_given_twice():
    keys = [QtGui.QKeySequence(key).toString() for entry in ACTIONS for key in entry.keys]
    assert sorted(keys) == sorted(set(keys))


def test_all_keys_stand_on_the_page_of_keys(viewer, qtbot):
    qtbot.keyClick(viewer.window, Qt.Key.Key_F1)
    (page,) = viewer.window.findChildren(QtWidgets.QDialog)
    texts = {label.text() for label in page.findChildren(QtWidgets.QLabel)}
    assert {entry.text for entry in ACTIONS if entry.keys} <= texts
    page.close()


def test_every_action_has_something_to_do(viewer):
    for entry in ACTIONS:
        if entry.name == "raw":  # the window looks whether it is checked
            continue
        action = viewer.window.menu_actions[entry.name]
        listeners = [action.receivers(QtCore.SIGNAL(f"{signal}(bool)")) for signal in ("triggered", "toggled")]
        assert any(listeners), entry


GIVEN = ("", "picture")
START_MS = 90_000  # of another process


def test_what_needs_a_picture_is_grey_until_there_is_one(viewer, publisher):
    greyed = {name for name, action in viewer.window.menu_actions.items() if not action.isEnabled()}
    assert {"save_view", "profile", "back", "mark"} <= greyed
    assert not {"connect", "open", "split", "live", "shortcuts"} & greyed
    viewer.until(viewer.connected)
    publisher.send_window(0)
    others = [viewer.window.menu_actions[one.name] for one in ACTIONS if one.menu != "Daemon" and one.needs in GIVEN]
    viewer.until(lambda: all(action.isEnabled() for action in others))


def test_a_wrong_address_is_said_in_the_dialog_and_a_good_one_connects(viewer, publisher):
    viewer.session.connect(DaemonAddress("tcp://127.0.0.1:1"))
    viewer.do("connect")
    (dialog,) = viewer.window.findChildren(ConnectDialog)
    assert dialog.address.itemText(0) == "127.0.0.1:1"
    assert dialog.address.itemText(1) == publisher.endpoint.removeprefix("tcp://")
    dialog.address.setCurrentText("127.0.0.1:port")
    dialog.accept()
    assert "is not the address of a daemon" in dialog.error_label.text()
    dialog.address.setCurrentText(publisher.endpoint)
    dialog.accept()
    viewer.until(viewer.connected)


def test_another_daemon_is_another_story(followed, open_window):
    followed.session.connect(DaemonAddress("tcp://127.0.0.1:1"))
    assert followed.window.sr.picture is None
    assert followed.window.facts.text.text() == ""
    assert followed.state.windows == 0
    assert "Waiting" in followed.window.sr.message.text()


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


def test_the_window_fits_a_small_screen(showing):
    assert showing.window.minimumSizeHint().width() <= 1280
    assert showing.window.minimumSizeHint().height() <= 800
    showing.window.resize(1280, 800)
    for cell in showing.window.strip.cells.values():
        assert cell.value.sizeHint().width() <= cell.width()


def hidden(window):
    parts = (window.menuBar(), window.tool_bar, window.side, window.time_bar, window.foot, window.sr.header_bar)
    return {part.isVisible() for part in (*parts, *window.strip.cells.values())}


def test_the_second_screen_shows_the_picture_and_its_sentence_alone(showing, publisher, qtbot):
    window = showing.window
    assert hidden(window) == {True}
    qtbot.keyClick(window, Qt.Key.Key_F11)
    showing.until(window.isFullScreen)
    assert hidden(window) == {False}
    assert window.strip.line.isVisible()
    assert window.sr.plot.isVisible()
    showing.until(lambda: window.minimumSizeHint().width() < 500)
    publisher.send_window(1)
    showing.until(lambda: showing.shows(1))
    assert hidden(window) == {False}
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    showing.until(lambda: not window.isFullScreen())
    assert hidden(window) == {True}


def test_escape_removes_what_is_drawn(showing, qtbot):
    showing.do("profile")
    showing.drag((0.1, 0.4), (0.7, 0.4))
    qtbot.keyClick(showing.window, Qt.Key.Key_Escape)
    assert showing.window.profile_line.ends is None
    assert not showing.window.menu_actions["profile"].isChecked()


def test_every_entry_of_a_menu_has_a_letter_of_its_own(viewer):
    for menu in viewer.window.menuBar().findChildren(QtWidgets.QMenu):
        texts = [action.text() for action in menu.actions() if action.text()]
        letters = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
        assert len(letters) == len(set(letters)), texts
        assert len(letters) == len(texts), texts


def test_a_right_click_offers_what_can_be_done_with_the_picture(showing):
    texts = [plain(action.text()) for action in showing.window.context_menu.actions()]
    assert {"Copy view", "Save view as PNG…", "Line profile", "Second screen"} <= set(texts)
    showing.window.sr.view.menu_requested.emit(QtCore.QPoint(50, 50))
    assert showing.window.context_menu.isVisible()
    showing.window.context_menu.close()


def test_the_unit_stands_beside_the_levels_and_noise_is_zero(showing, publisher):
    assert showing.window.sr.controls.unit.text() == "photons/frame"
    assert showing.window.raw.controls.unit.text() == "ADU"
    publisher.send_window(1, level=1e-12)
    showing.until(lambda: showing.shows(1))
    assert "super-resolved 0 photons/frame" in describe_point(showing.state.shown, 0.05, 0.15)


def test_the_second_screen_has_no_crosshair(showing):
    plot, view = showing.window.sr.plot, showing.window.sr.view
    showing.do("second_screen")
    plot.scene().sigMouseMoved.emit(view.mapViewToScene(QtCore.QPointF(0.05, 0.15)))
    assert not any(line.isVisible() for lines in showing.window.crosshair.lines for line in lines)
    showing.do("second_screen")
    plot.scene().sigMouseMoved.emit(view.mapViewToScene(QtCore.QPointF(0.05, 0.15)))
    assert all(line.isVisible() for lines in showing.window.crosshair.lines for line in lines)


def test_a_recording_is_seen_in_the_window_and_its_title(showing, publisher, port):
    info = StreamInfo(stream=STREAM, source="camera", height=512, width=512, dtype="uint16")
    publisher.send(encode("info", info))
    assert showing.window.strip.recording.text() == ""
    assert showing.window.windowTitle() == f"tcp://127.0.0.1:{port} – Self-STORM live"
    publisher.state = {"recording": "raw/1", "recorded_frames": 4000, "recording_fits": 100_000}
    showing.until(lambda: "REC" in showing.window.windowTitle())
    assert showing.window.strip.recording.text() == "● REC  4,000 frames, 2.10 GB, 33 min of disk left"


def test_the_demo_is_started_from_the_first_steps_and_ends_with_the_window(open_window, tmp_path):
    results, control = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    config = tmp_path / "demo.toml"
    config.write_text(as_toml(simulated() | {"server": {"results": results, "control": control}}))
    demo = Demo((*DAEMON, "run", str(config)))
    viewer = open_window(demo=demo, demo_results=results)
    viewer.window.welcome.demo.click()
    assert not viewer.window.welcome.isVisible()
    viewer.until(lambda: viewer.window.sr.picture is not None, START_MS)
    assert viewer.state.status.source == "simulate:"
    viewer.session.stop()
    assert not demo.running


def test_a_demo_that_cannot_start_is_said(open_window, qtbot):
    viewer = open_window(demo=Demo((sys.executable, "-c", "raise SystemExit('error: no demo today')")))
    viewer.do("demo")
    viewer.until(lambda: "no demo today" in viewer.window.message.full_text)


def test_a_key_is_not_carried_to_another_address(viewer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    viewer.session._preferences.remember(DaemonAddress("tcp://there:5711", "tcp://there:9", Path("lab.key")))
    viewer.do("connect")
    (dialog,) = viewer.window.findChildren(ConnectDialog)
    dialog.address.setCurrentText("there:5711,9")
    assert dialog.key.text() == str(tmp_path / "lab.key")
    dialog.address.setCurrentText("elsewhere")
    assert dialog.key.text() == ""
    dialog.key.setText("typed.key")
    dialog.address.setCurrentText("elsewhere:6000")
    assert dialog.key.text() == "typed.key"
    dialog.close()


def test_a_scale_bar_is_never_wider_than_the_field(showing):
    view, bar = showing.window.sr.view, showing.window.sr.scale_bar
    view.setRange(QtCore.QRectF(-2.5, -2.5, 6, 6), padding=0)
    assert bar.bar.rect().width() * view.viewPixelSize()[0] <= showing.window.sr.field.width


def test_trends_are_saved_as_a_table(showing, publisher, tmp_path):
    publisher.send_window(1, metrics={"misfit": 0.02})
    showing.until(lambda: showing.shows(1))
    path = showing.answers["Save trends"] = tmp_path / "trends.csv"
    showing.do("save_trends")
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0][:4] == ["number", "run", "window", "windows_skipped"]
    assert rows[2][rows[0].index("misfit")] == "0.02"


@posix
def test_a_picture_is_opened_in_another_program(showing, tmp_path, monkeypatch):
    monkeypatch.setenv("FIJI", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    showing.do("open_in_fiji")
    assert "Fiji was not found" in showing.window.message.full_text
    seen = tmp_path / "seen"
    program = tmp_path / "fiji"
    program.write_text(
        f"#!{sys.executable}\nimport os, shutil, sys; part = {str(seen)!r} + '.part'\n"
        f"shutil.copy(sys.argv[1], part); os.replace(part, {str(seen)!r})\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("FIJI", str(program))
    showing.do("open_in_fiji")
    showing.until(lambda: seen.exists() and len(read_pictures(seen).pictures) == 1)


def test_an_overview_shows_where_a_part_of_the_field_is(showing, publisher):
    overview, view = showing.window.sr.overview, showing.window.sr.view
    assert not overview.isVisible()
    view.setRange(QtCore.QRectF(0.2, 0.4, 0.2, 0.2), padding=0)
    assert overview.isVisible()
    x, y, width, height = overview.layout.visible
    centre = view.viewRect().center()
    assert (x + width / 2, y + height / 2) == pytest.approx((110 * centre.x() / 0.8, 110 * centre.y() / 0.8), rel=0.01)
    info = StreamInfo(stream=STREAM, source="camera", height=32, width=32, dtype="uint16")
    publisher.send(encode("info", info))
    publisher.send_window(1, region=(8, 16, 8, 8))
    showing.until(lambda: showing.shows(1))
    assert overview.layout.picture == pytest.approx((55, 27.5, 27.5, 27.5))


def test_clipped_values_are_counted_and_shown(showing):
    controls = showing.window.sr.controls
    controls.low.set_value(100.0)
    controls.high.set_value(900.0)
    controls.menu.aboutToShow.emit()
    shown = controls.menu.histogram.histogram
    pixels = showing.window.sr.picture.pixels
    assert shown.below == pytest.approx((pixels < 100).mean())
    assert shown.above == pytest.approx((pixels > 900).mean())
    assert shown.counts.sum() == pixels.size
    assert controls.menu.clipping.text() == "clipped: 9.7% dark, 12.1% saturated"
