"""Menus, keys and the dialog of addresses."""

import sys
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Qt

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))


from client.window.action_table import ACTIONS
from client.window.connect_dialog import ConnectDialog
from client.window.mnemonics import plain
from daemon.protocol.address import DaemonAddress

GIVEN = ("", "picture")


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


def test_what_needs_a_picture_is_grey_until_there_is_one(viewer, publisher):
    greyed = {name for name, action in viewer.window.menu_actions.items() if not action.isEnabled()}
    assert {"save_view", "profile", "back", "mark"} <= greyed
    assert not {"connect", "open", "split", "live", "shortcuts"} & greyed
    viewer.until(viewer.connected)
    publisher.send_window(0)
    others = [viewer.window.menu_actions[one.name] for one in ACTIONS if one.menu != "Daemon" and one.needs in GIVEN]
    viewer.until(lambda: all(action.isEnabled() for action in others))


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
