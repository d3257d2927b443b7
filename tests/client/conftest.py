"""Fixtures of the viewer's tests, which need no screen.

Qt draws in memory unless the environment asks for something else. Nothing is left behind.
"""

import gc
import os
import threading
import weakref
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
import zmq
from client_stream import Publisher, free_port
from PySide6 import QtCore, QtGui, QtWidgets

from client.session import ViewerSession
from client.widgets.theme import apply_theme
from client.window.preferences import Preferences
from daemon.protocol.address import DaemonAddress

LONG_MS = 45_000
ENDS_S = 10.0  # for a thread that is about to end


@pytest.fixture(autouse=True)
def leaves_nothing_behind(monkeypatch):
    """Fail a test that leaves a thread, a ZeroMQ context, or a widget."""
    contexts = weakref.WeakSet()
    begin = zmq.Context.__init__

    def begin_noted(self, *given, **named):
        begin(self, *given, **named)
        contexts.add(self)

    monkeypatch.setattr(zmq.Context, "__init__", begin_noted)
    threads, widgets = set(threading.enumerate()), set(_top_level())
    yield
    if set(_top_level()) - widgets:
        gc.collect()  # what only a cycle of references holds is as good as gone
    for one in set(threading.enumerate()) - threads:
        one.join(ENDS_S)
    left = [f"thread {one.name}" for one in threading.enumerate() if one not in threads]
    left += [f"context {one}" for one in contexts if not one.closed]
    left += [f"widget {one}" for one in _top_level() if one not in widgets]
    assert not left, f"left behind: {', '.join(left)}"


def _top_level():
    """Top-level widgets once all that is to be deleted is."""
    application = QtWidgets.QApplication.instance()
    if application is None:
        return []
    application.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    # Menus of pyqtgraph's plots are top-level too; they have no parent, and live as long as their plot.
    return [one for one in application.topLevelWidgets() if one.isVisible() or isinstance(one, QtWidgets.QMainWindow)]


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def publisher(port):
    with Publisher(port, run="first-run") as running:
        yield running


class ViewerProbe:
    """A viewer as a test sees it; `until` waits for what the window shows."""

    def __init__(self, qtbot, store, **other):
        self.answers, self.dragged, self.asked = {}, [], ""
        self.session = ViewerSession(
            Preferences(store), ask_save=self._answer, ask_open=self._answer, start_drag=self._drop, **other
        )
        self.window = self.session.window
        self._qtbot = qtbot

    def _answer(self, title, name, *_):
        """The answer to a dialog; a function of the proposed name may do something while it is open."""
        self.asked = title
        answer = next((one for begin, one in self.answers.items() if title.startswith(begin)), "")
        return str(answer(name) if callable(answer) else answer)

    def _drop(self, _source, data):
        self.dragged.append(Path(data.urls()[0].toLocalFile()))

    @property
    def state(self):
        return self.session.presenter.state

    def until(self, condition, timeout_ms=LONG_MS):
        self._qtbot.waitUntil(condition, timeout=timeout_ms)

    def drag(self, start, end):
        """Drag the mouse over the large picture between two points of its field."""
        plot, kinds = self.window.sr.plot, QtCore.QEvent.Type
        left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.MouseButton.NoButton
        points = (start, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), end)
        begin, middle, finish = (self.on_screen(point) for point in points)
        self._mouse(plot, kinds.MouseButtonPress, begin, left, left)
        self._mouse(plot, kinds.MouseMove, middle, none, left)
        self._mouse(plot, kinds.MouseMove, finish, none, left)
        self._mouse(plot, kinds.MouseButtonRelease, finish, left, none)

    def on_screen(self, point):
        """Where a point of the field is on the large picture's widget now."""
        scene = self.window.sr.view.mapViewToScene(QtCore.QPointF(*point))
        return QtCore.QPointF(self.window.sr.plot.mapFromScene(scene))

    def _mouse(self, plot, kind, at, button, buttons):
        there = QtCore.QPointF(plot.viewport().mapToGlobal(at))
        event = QtGui.QMouseEvent(kind, at, there, button, buttons, QtCore.Qt.KeyboardModifier.NoModifier)
        QtWidgets.QApplication.sendEvent(plot.viewport(), event)

    def do(self, name):
        """As if the user had chosen it from the menus."""
        self.window.menu_actions[name].trigger()

    def indicator(self, name):
        return self.window.strip.cells[name].finding

    def connected(self):
        return self.indicator("Daemon").value == "running"

    def shows(self, window, run="first-run"):
        shown = self.window.sr.picture
        return shown is not None and shown.window == (run, window)


@pytest.fixture
def open_window(qtbot, tmp_path):
    """Return open_window(), which opens a window with settings of its own.

    A second window has the settings that the first has left.
    """
    opened, application = [], QtWidgets.QApplication.instance()
    if application.property("theme") != "dark":
        apply_theme(application)

    def open_one(**other):
        store = QtCore.QSettings(str(tmp_path / "settings.ini"), QtCore.QSettings.Format.IniFormat)
        one = ViewerProbe(qtbot, store, **other)
        one.window.show()
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.session.stop()
        one.window.close()
        one.window.deleteLater()


@pytest.fixture
def viewer(open_window, port):
    """Open a window that listens to an address without a daemon yet.

    The first steps are dismissed.
    """
    one = open_window()
    one.window.welcome.button.click()
    one.session.connect(DaemonAddress(f"tcp://127.0.0.1:{port}"))
    return one


@pytest.fixture
def showing(viewer, publisher):
    """A window that shows window 0."""
    viewer.until(viewer.connected)
    publisher.send_window(0, model="warm", notes=("the gain was guessed",))
    viewer.until(lambda: viewer.shows(0))
    return viewer
