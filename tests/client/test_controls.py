"""Control of a real daemon process from the window.

With a key that may control, one that may not, and none; and refused requests.
"""

import sys
from pathlib import Path

import pytest
from PySide6 import QtWidgets

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from client_stream import free_port
from daemon_process import Daemon, simulated

from client.access import MOVIE, ONLY_LOOKS, ControlAccess, headline, unavailable_reason
from client.controls import requests
from client.controls.control_worker import MAX_PENDING, ControlWorker
from client.controls.note_dialog import NoteDialog
from client.controls.settings_dialog import SettingsDialog
from client.controls.settings_form import SETTINGS, changed_values
from client.window.connect_dialog import ConnectDialog
from client.window.mnemonics import plain
from daemon.keys.store import Keyring, write
from daemon.live_config import SETTABLE
from daemon.protocol.address import DaemonAddress, default_control_address
from daemon.protocol.key_file import KeyFile
from daemon.transport.client_socket import new_pair
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures

NEXT_MAJOR = "import daemon.protocol.messages as messages; messages.VERSION = (3, 0)"
NEWER = (sys.executable, "-c", f"{NEXT_MAJOR}; from daemon.cli import main; main()")
START_MS = 45_000  # of another process
ASKING = {"pause", "record", "snapshot", "note", "settings", "reset_model"}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Start a daemon that requires keys.

    Yields it with the paths of a key that may control it and of one that may not.
    """
    folder = tmp_path_factory.mktemp("controls")
    ring = Keyring(folder / "ring")
    ring.make_pair()
    paths = {}
    for name, role in (("boss", "control"), ("laptop", "view")):
        public, secret = new_pair()
        ring.allow(name, public, role)
        paths[role] = folder / f"{name}.key"
        write(paths[role], KeyFile(name=name, public=public, secret=secret, server=ring.pair().public))
    with Daemon(folder, simulated(rate_hz=100, folder="out"), ring=ring) as daemon:
        yield daemon.started(), paths, folder


@pytest.fixture
def controlling(open_window, running):
    """Open a window with the key that may control, by the dialog.

    It shows a picture.
    """
    daemon, paths, _ = running
    seen = open_window()
    seen.window.welcome.button.click()
    connect(seen, daemon, paths["control"])
    seen.until(lambda: seen.window.menu_actions["pause"].isEnabled() and seen.state.status is not None)
    seen.until(lambda: seen.window.sr.picture is not None)
    return seen


def connect(seen, daemon, key):
    seen.do("connect")
    dialog = seen.window.findChildren(ConnectDialog)[-1]
    dialog.address.setCurrentText(daemon.address)
    dialog.key.setText(str(key))
    dialog.accept()
    assert dialog.error_label.text() == ""


def told(seen, *parts):
    """Return True where one line of the events has all of these parts."""
    listed = seen.window.events.list
    lines = [listed.item(place).text() for place in range(listed.count())]
    return any(all(part in line for part in parts) for line in lines)


def dialog_of(seen, kind):
    seen.until(lambda: bool(seen.window.findChildren(kind)))
    return seen.window.findChildren(kind)[-1]


def test_paused_resumed_marked_and_begun_anew(controlling):
    seen, entries = controlling, controlling.window.menu_actions
    assert plain(entries["daemon"].text()) == f"Controls {seen.state.access.address}"
    seen.do("pause")
    seen.until(lambda: seen.state.status.paused)
    seen.until(lambda: seen.window.message.full_text == "paused; frames are still received and recorded")
    assert plain(entries["pause"].text()) == "Resume"
    seen.do("pause")
    seen.until(lambda: not seen.state.status.paused)
    assert plain(entries["pause"].text()) == "Pause"
    seen.do("mark")
    window = seen.state.playhead.marks[0].window
    seen.until(lambda: told(seen, f"window {window}", "[mark]"))
    seen.do("mark")  # takes it away here
    seen.do("note")
    note = dialog_of(seen, NoteDialog)
    note.line.setText("the drug goes in")
    note.accept()
    seen.until(lambda: told(seen, "the drug goes in", "[mark]"))
    seen.do("reset_model")
    box = dialog_of(seen, QtWidgets.QMessageBox)
    next(button for button in box.buttons() if button.text() == "Reset").click()
    seen.until(lambda: told(seen, "[model_reset]"))


def test_recorded_and_kept(controlling, running):
    seen, out = controlling, running[2] / "out"
    seen.do("record")
    seen.until(lambda: seen.state.status.recorded_frames >= 20, START_MS)
    assert plain(seen.window.menu_actions["record"].text()) == "Stop recording"
    seen.do("record")
    seen.until(lambda: not seen.state.status.recording)
    (index,) = out.rglob("*.jsonl")
    with MovieFile(index.parent) as movie:
        assert len(movie.frames()) >= 20
    seen.do("snapshot")
    seen.until(lambda: told(seen, "[snapshot_saved]"))
    seen.until(lambda: "saved on the daemon's machine" in seen.window.message.full_text)
    name = Path(seen.window.message.full_text.rpartition(": ")[2]).name
    assert read_pictures(out / name).pictures[0].shape == seen.window.sr.picture.pixels.shape


def test_settings_are_changed_or_refused_where_they_stand(controlling):
    seen = controlling
    seen.do("settings")
    dialog = dialog_of(seen, SettingsDialog)
    stride = dialog.inputs["reconstruction.stride"]
    assert stride.text() == "20"
    stride.setText("often")
    dialog.accept()
    assert dialog.message.text() == "Stride: a new picture every … frames: 'often' is not a whole number"
    stride.setText("0")
    dialog.accept()
    assert not dialog.apply.isEnabled()
    seen.until(lambda: "reconstruction.stride: 0 must be at least 1" in dialog.message.text())
    assert told(seen, "Settings: ", "at least", "[not_done]")
    stride.setText("10")
    dialog.accept()
    seen.until(lambda: told(seen, "reconstruction.stride: from 20 to 10"))
    seen.until(lambda: not seen.window.findChildren(SettingsDialog))
    seen.until(lambda: seen.state.access.settings["reconstruction.stride"] == 10)


def test_a_region_is_all_there_is_until_the_whole_field_is_wanted_again(controlling):
    seen, entries = controlling, controlling.window.menu_actions
    assert "Tools > Region" in entries["send_region"].toolTip()
    assert not entries["whole_field"].isEnabled()
    send_region(seen, (0.4, 0.2), (1.8, 2.0))
    seen.until(lambda: seen.window.sr.picture.header.region == (2, 4, 20, 18))
    assert not seen.window.region_box.drawn
    assert seen.window.raw.picture.pixels.shape == (20, 18)
    seen.until(lambda: not seen.window.sr.picture.preview)
    send_region(seen, (0.2, 0.1), (1.2, 1.0))
    seen.until(lambda: seen.window.sr.picture.header.region == (3, 6, 10, 12))
    seen.until(entries["whole_field"].isEnabled)
    seen.do("whole_field")
    seen.until(lambda: seen.window.sr.picture.header.region is None)
    assert seen.window.sr.picture.pixels.shape == (64, 64)


def send_region(seen, corner, size):
    seen.do("region")
    seen.drag(corner, (corner[0] + size[0], corner[1] + size[1]))
    assert seen.window.menu_actions["send_region"].isEnabled()
    seen.do("send_region")


def test_a_key_that_only_looks_sees_all_and_is_told_why_it_may_not_do_more(open_window, running):
    daemon, paths, _ = running
    seen = open_window()
    seen.window.welcome.button.click()
    seen.session.connect(DaemonAddress(daemon.results, daemon.control, paths["view"]))
    seen.until(lambda: plain(seen.window.menu_actions["daemon"].text()) == "View only: this key cannot control")
    seen.until(lambda: seen.window.sr.picture is not None)
    assert {name for name in ASKING if seen.window.menu_actions[name].isEnabled()} == set()
    assert {seen.window.menu_actions[name].toolTip() for name in ASKING} == {ONLY_LOOKS}
    assert ONLY_LOOKS in seen.window.menu_actions["daemon"].toolTip()
    seen.do("mark")
    assert seen.window.message.full_text == f"Marked in this viewer only. {ONLY_LOOKS}"
    seen.session.daemon_actions._send(requests.pause(True))  # a daemon that does not tell the role refuses by itself
    seen.until(lambda: told(seen, "Pause: ", "this key may watch but not control", "[not_done]"))
    assert not seen.state.status.paused


def test_a_daemon_is_remembered_with_its_key_and_without_one_it_says_what_it_wants(open_window, running):
    daemon, paths, _ = running
    first = open_window()
    first.session.connect(DaemonAddress(daemon.results, daemon.control, paths["control"]))
    second = open_window()
    second.do("connect")
    dialog = dialog_of(second, ConnectDialog)
    dialog.address.setCurrentText("elsewhere:5711")
    dialog.address.setCurrentText(daemon.address)
    assert dialog.key.text() == str(paths["control"])
    dialog._ask_open = lambda *_: str(daemon.config)
    dialog.browse.click()
    dialog.accept()
    assert "daemon.toml: is damaged" in dialog.error_label.text()
    dialog.key.clear()
    dialog.accept()
    second.until(lambda: second.indicator("Daemon").value == "refused")
    second.until(lambda: "the daemon needs a key" in second.window.menu_actions["pause"].toolTip())
    assert not second.window.menu_actions["pause"].isEnabled()


def test_a_daemon_of_another_version_is_said_in_the_strip_and_the_menu(open_window, tmp_path):
    seen = open_window()
    with Daemon(tmp_path, simulated(), program=NEWER) as daemon:
        seen.session.connect(DaemonAddress(daemon.results, daemon.control))
        seen.until(lambda: seen.indicator("Daemon").value == "unreadable", START_MS)
        assert "protocol 3.0, this side speaks 2." in seen.indicator("Daemon").why
        seen.until(lambda: "update the older side" in seen.window.menu_actions["pause"].toolTip())
    assert not seen.window.menu_actions["pause"].isEnabled()


def test_what_waits_for_a_daemon_that_is_away_is_bounded_and_not_done_later(qtbot):
    courier, back = ControlWorker(f"tcp://127.0.0.1:{free_port()}", None), []
    courier.completed.connect(back.append)
    assert [courier.send(requests.pause(True)) for _ in range(MAX_PENDING + 1)].count(True) == MAX_PENDING
    courier.start()
    qtbot.waitUntil(lambda: len(back) == MAX_PENDING, timeout=START_MS)
    assert all("not done" in one.message and not one.done for one in back)
    courier.stop()


def test_it_is_said_why_nothing_can_be_asked():
    here = ControlAccess("tcp://here:5712")
    assert unavailable_reason(here, movie=True) == MOVIE
    assert "File > Connect" in unavailable_reason(ControlAccess())
    assert headline(here) == "Connecting to tcp://here:5712 …"
    away = ControlAccess("tcp://here:5712", why="no daemon answered.")
    assert (unavailable_reason(away), headline(away)) == ("no daemon answered.", "tcp://here:5712 does not answer")
    assert unavailable_reason(ControlAccess("tcp://here:5712", answered=True)) == "", (
        "an old daemon that does not tell the role is asked"
    )


def test_a_form_asks_for_what_was_changed_alone():
    before = {"reconstruction.stride": 20, "reconstruction.scale": 4, "optics.na": 1.4, "optics.psf_sigma_nm": None}
    same = {"reconstruction.stride": "20", "reconstruction.scale": "4", "optics.na": "1.4", "optics.psf_sigma_nm": ""}
    assert changed_values(before, same) == {}
    texts = {"reconstruction.stride": " 25", "reconstruction.scale": "8", "optics.na": "", "optics.psf_sigma_nm": "1,5"}
    assert changed_values(before, texts) == {
        "reconstruction.stride": 25,
        "reconstruction.scale": 8,
        "optics.na": None,
        "optics.psf_sigma_nm": 1.5,
    }
    with pytest.raises(InputError, match="a number is needed"):
        changed_values(before, {"reconstruction.stride": ""})


def test_every_setting_but_the_region_is_in_the_form():
    assert {field.key for field in SETTINGS} == set(SETTABLE) - {"reconstruction.region"}


def test_control_is_one_port_above_unless_said_otherwise():
    assert default_control_address("tcp://[::1]:5711") == "tcp://[::1]:5712"
    assert default_control_address("tcp://host:65535") == ""
    assert DaemonAddress("tcp://host:1", "tcp://host:9").control_address == "tcp://host:9"


@pytest.mark.parametrize("folder", ["/data/out/recording-1", "D:\\data\\out\\recording-1"])
def test_the_message_of_a_recording_is_short_enough_to_show_its_folder(folder):
    class Recorder:
        def record_start(self):
            return Path(folder)

    assert (
        requests.record(True).do(Recorder())
        == "recording to out/recording-1 begins; ● REC above counts the frames in it"
    )
