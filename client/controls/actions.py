"""Control from the window: the Daemon menu's actions, each sent to the daemon and its answer said."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6 import QtCore, QtWidgets

from client.access import ControlAccess, unavailable_reason
from client.controls import requests
from client.controls.control_worker import MAX_PENDING, ControlWorker
from client.controls.note_dialog import NoteDialog
from client.controls.requests import ControlRequest, Outcome
from client.controls.settings_dialog import SettingsDialog
from client.picture.region import Region
from client.presenter import Presenter
from client.state import ViewerState, reduce_access, reduce_refusal
from client.timeline.playhead import position
from client.window.main_window import ViewerWindow
from daemon.protocol.key_file import KeyFile

FORGET = "Forget what was access_changed, and start anew with the next window?"
ONLY_HERE = "marked in this viewer alone: "


class DaemonActions(QtCore.QObject):
    """begin() for a daemon, stop() when there is none any more. The presenter's state says what may be done."""

    def __init__(self, window: ViewerWindow, presenter: Presenter) -> None:
        super().__init__()
        self._window, self._presenter = window, presenter
        self._worker: ControlWorker | None = None
        self._settings: SettingsDialog | None = None
        self._settings_request: ControlRequest | None = None
        for name, do in self._actions().items():
            window.menu_actions[name].triggered.connect(do)
        # After those who mark here: whether the window looked at is marked now is then known.
        for marked in (window.menu_actions["mark"].triggered, window.time_bar.mark.clicked):
            marked.connect(self._tell_of_mark)

    def begin(self, address: str, key: KeyFile | None) -> None:
        """Ask the daemon at this control endpoint from now on."""
        self.stop()
        self._worker = ControlWorker(address, key)
        self._worker.access_changed.connect(self._update_access)
        self._worker.completed.connect(self._handle_outcome)
        self._presenter.change(lambda state: reduce_access(state, ControlAccess(address)))
        self._worker.start()

    def stop(self) -> None:
        """Let the daemon go; what was asked and not answered stays unsaid."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        if self._settings is not None:
            self._settings.close()

    def _actions(self) -> dict[str, Callable[[], object]]:
        return {
            "daemon": self._window.menu_actions["connect"].trigger,
            "pause": lambda: self._send(requests.pause(not self._is("paused"))),
            "record": lambda: self._send(requests.record(not self._is("recording"))),
            "snapshot": lambda: self._send(requests.snapshot()),
            "note": self._ask_for_note,
            "send_region": self._send_region,
            "whole_field": lambda: self._send(requests.take_region(None)),
            "settings": self._open_settings,
            "reset_model": self._ask_to_reset,
        }

    @property
    def _state(self) -> ViewerState:
        return self._presenter.state

    def _is(self, what: str) -> bool:
        status = self._state.status
        return status is not None and bool(getattr(status, what))

    def _send(self, request: ControlRequest) -> bool:
        if self._worker is not None and self._worker.send(request):
            self._window.show_message(f"{request.name}: the daemon is being asked …")
            return True
        waiting = f"{MAX_PENDING} requests wait for an answer already" if self._worker else "there is no daemon"
        self._refused(f"{request.name}: not done, {waiting}")
        return False

    def _refused(self, text: str) -> None:
        self._window.show_message(text)
        self._presenter.change(lambda state: reduce_refusal(state, text, time.time_ns()))

    @QtCore.Slot(object)
    def _update_access(self, access: ControlAccess) -> None:
        if self._worker is not None and access.address == self._state.access.address:
            self._presenter.change(lambda state: reduce_access(state, access))

    @QtCore.Slot(object)
    def _handle_outcome(self, outcome: Outcome) -> None:
        if self._worker is None:
            return
        if outcome.done:
            self._window.show_message(outcome.message)
        else:
            self._refused(outcome.message)
        if outcome.request.name == requests.SEND_REGION and outcome.done:
            self._window.menu_actions["region"].setChecked(False)  # it is the whole picture from now on
        if self._settings is not None and outcome.request is self._settings_request:
            self._settings.close() if outcome.done else self._settings.refuse(outcome.message)

    def _tell_of_mark(self) -> None:
        """A moment that was marked here is told to all viewers; one whose mark was taken away is not."""
        playhead, history, shown = self._state.playhead, self._state.history, self._state.shown
        here = position(playhead, history)
        if shown is None or self._state.movie or all(one.number != here for one in playhead.marks):
            return
        if no_way := unavailable_reason(self._state.access):
            self._window.show_message(f"{ONLY_HERE}{no_way}")
        else:
            self._send(requests.note(f"window {shown.sr.header.window}"))

    def _ask_for_note(self) -> None:
        dialog = NoteDialog(self._window)
        dialog.noted.connect(lambda text: self._send(requests.note(text)))
        dialog.open()

    def _ask_to_reset(self) -> None:
        box = QtWidgets.QMessageBox(self._window)
        box.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Reset model")
        box.setText(FORGET)
        box.setInformativeText("For all viewers. Frames, pictures and files stay as they are.")
        reset = box.addButton("Reset", QtWidgets.QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QtWidgets.QMessageBox.StandardButton.Cancel)
        box.buttonClicked.connect(lambda pressed: pressed is reset and self._send(requests.reset_model()))
        box.open()

    def _open_settings(self) -> None:
        if self._settings is None:
            self._settings = SettingsDialog(self._window, self._state.access.settings)
            self._settings.wanted.connect(self._change)
            self._settings.finished.connect(self._settings_closed)
            self._settings.open()

    def _settings_closed(self) -> None:
        self._settings = self._settings_request = None

    def _change(self, changes: dict[str, object]) -> None:
        self._settings_request = requests.change(changes)
        if self._settings is not None and not self._send(self._settings_request):
            self._settings.refuse("Too much waits for an answer already: try again.")

    def _send_region(self) -> None:
        """The region is drawn on the picture looked at, which may be a part of the camera's field itself."""
        shown, region = self._state.shown, self._window.drawn_region
        if shown is not None and region is not None:
            y, x = (shown.sr.header.region or (0, 0))[:2]
            self._send(requests.take_region(Region(region.y + y, region.x + x, region.height, region.width)))
