"""Actions of the Daemon menu.

Each is sent to the daemon, and its answer is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6 import QtCore, QtWidgets

from client.access import ControlAccess, unavailable_reason
from client.controls import requests
from client.controls.control_worker import MAX_PENDING, ControlWorker
from client.controls.note_dialog import NoteDialog
from client.controls.requests import ControlRequest, RequestOutcome
from client.controls.settings_dialog import SettingsDialog
from client.picture.region import CameraRegion
from client.presenter import Presenter
from client.state import ViewerState, reduce_access, reduce_refusal
from client.timeline.playhead import position
from client.window.main_window import ViewerWindow
from daemon.protocol.key_file import KeyFile

RESET_QUESTION = "Reset the model and start from scratch with the next window?"
ONLY_HERE = "Marked in this viewer only. "


class DaemonActions(QtCore.QObject):
    """Control of one daemon, from begin() to stop().

    The presenter's state says which actions are possible.
    """

    def __init__(self, window: ViewerWindow, presenter: Presenter) -> None:
        super().__init__()
        self._window, self._presenter = window, presenter
        self._worker: ControlWorker | None = None
        self._settings: SettingsDialog | None = None
        self._settings_request: ControlRequest | None = None
        for name, do in self._actions().items():
            window.menu_actions[name].triggered.connect(do)
        # Connected after the slots that set the mark, so that the state knows it by now.
        for marked in (window.menu_actions["mark"].triggered, window.time_bar.mark.clicked):
            marked.connect(self._share_mark)

    def begin(self, address: str, key: KeyFile | None) -> None:
        """Connect to the daemon at this control endpoint."""
        self.stop()
        self._worker = ControlWorker(address, key)
        self._worker.access_changed.connect(self._update_access)
        self._worker.completed.connect(self._handle_outcome)
        self._presenter.change(lambda state: reduce_access(state, ControlAccess(address)))
        self._worker.start()

    def stop(self) -> None:
        """Disconnect; pending requests are dropped without a message."""
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
            "whole_field": lambda: self._send(requests.reconstruct_region(None)),
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
            self._window.show_message(f"{request.name}: waiting for the daemon …")
            return True
        reason = (
            f"{MAX_PENDING} requests are already waiting for an answer" if self._worker else "not connected to a daemon"
        )
        self._report_refusal(f"{request.name}: not done, {reason}")
        return False

    def _report_refusal(self, text: str) -> None:
        self._window.show_message(text)
        self._presenter.change(lambda state: reduce_refusal(state, text, time.time_ns()))

    @QtCore.Slot(object)
    def _update_access(self, access: ControlAccess) -> None:
        if self._worker is not None and access.address == self._state.access.address:
            self._presenter.change(lambda state: reduce_access(state, access))

    @QtCore.Slot(object)
    def _handle_outcome(self, outcome: RequestOutcome) -> None:
        if self._worker is None:
            return
        if outcome.done:
            self._window.show_message(outcome.message)
        else:
            self._report_refusal(outcome.message)
        if outcome.request.name == requests.SEND_REGION and outcome.done:
            self._window.menu_actions["region"].setChecked(False)  # the region is now the whole picture
        if self._settings is not None and outcome.request is self._settings_request:
            self._settings.close() if outcome.done else self._settings.refuse(outcome.message)

    def _share_mark(self) -> None:
        """Send a mark set here to all viewers; the removal of a mark is not sent."""
        playhead, history, shown = self._state.playhead, self._state.history, self._state.shown
        here = position(playhead, history)
        if shown is None or self._state.movie or all(one.number != here for one in playhead.marks):
            return
        if reason := unavailable_reason(self._state.access):
            self._window.show_message(f"{ONLY_HERE}{reason}")
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
        box.setText(RESET_QUESTION)
        box.setInformativeText("This affects all viewers. Frames, pictures and files are kept.")
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
            self._settings.refuse("Too many requests are waiting for an answer; try again.")

    def _send_region(self) -> None:
        """Send the drawn region in camera pixels.

        The picture itself may be a part of the camera's field.
        """
        shown, region = self._state.shown, self._window.drawn_region
        if shown is not None and region is not None:
            y, x = (shown.sr.header.region or (0, 0))[:2]
            self._send(
                requests.reconstruct_region(CameraRegion(region.y + y, region.x + x, region.height, region.width))
            )
