"""The window on a real socket."""

import time

import pytest
import zmq
from client_stream import Publisher, event
from pytestqt.qtbot import QtBot

from client.presenter import Presenter
from client.state import ViewerState
from client.subscriber import Subscriber
from client.viewer import ViewerWindow
from daemon.protocol.codec import encode

LONG_MS = 15_000


class Sitting:
    """A window that listens; `until` waits for what it shows."""

    def __init__(self, qtbot: QtBot, endpoint: str):
        self.window = ViewerWindow(endpoint)
        self.subscriber = Subscriber(endpoint, time.monotonic)
        self.presenter = Presenter(self.subscriber, self.window, ViewerState(endpoint), time.monotonic)
        self._qtbot = qtbot

    def until(self, condition):
        self._qtbot.waitUntil(condition, timeout=LONG_MS)

    def connected(self):
        return self.window.status.connection.text() == "connected, running"

    def shows(self, window, run="first-run"):
        shown = self.window.sr.picture
        return shown is not None and shown.window == (run, window)


@pytest.fixture
def sitting(qtbot, port):
    one = Sitting(qtbot, f"tcp://127.0.0.1:{port}")
    qtbot.addWidget(one.window)
    one.window.show()
    one.subscriber.start()
    one.presenter.start()
    yield one
    one.presenter.stop()
    one.subscriber.stop()


@pytest.fixture
def showing(sitting, publisher):
    """A sitting that shows window 0."""
    sitting.until(sitting.connected)
    publisher.send_window(0, model="warm", notes=("the gain was guessed",))
    sitting.until(lambda: sitting.shows(0))
    return sitting


def test_before_a_daemon_there_is_an_explanation(sitting):
    assert "Waiting for a daemon" in sitting.window.sr.message.text()
    assert sitting.window.sr.message.isVisible()
    assert sitting.window.status.connection.text() == "waiting"


def test_both_pictures_are_drawn_over_the_same_field(showing):
    sr, raw = showing.window.sr, showing.window.raw
    assert sr.image.image.shape == (32, 32)
    assert raw.image.image.shape == (8, 8)
    assert sr.image.mapRectToParent(sr.image.boundingRect()) == raw.image.mapRectToParent(raw.image.boundingRect())
    assert sr.image.mapRectToParent(sr.image.boundingRect()).width() == pytest.approx(0.8)
    assert sr.view.yInverted()
    assert sr.scale_bar.text == raw.scale_bar.text != ""
    assert not sr.message.isVisible()
    assert not sr.banner.isVisible()


def test_the_super_resolved_picture_is_as_large_as_the_raw_one(showing):
    assert abs(showing.window.sr.plot.width() - showing.window.raw.plot.width()) <= 1
    assert showing.window.sr.plot.height() == showing.window.raw.plot.height()


def test_the_picture_says_what_it_is(showing):
    assert "model warm" in showing.window.notes.facts.text()
    assert showing.window.notes.notes.text() == "CAUTION  the gain was guessed"
    assert showing.window.notes.notes.isVisible()


@pytest.mark.parametrize("mover", ["sr", "raw"])
def test_zoom_and_pan_move_both_views(showing, mover):
    sr, raw = showing.window.sr.view, showing.window.raw.view
    moved = getattr(showing.window, mover).view
    before = sr.viewRange()
    moved.scaleBy((0.3, 0.3))
    moved.translateBy(x=0.05, y=-0.02)
    moved.sigRangeChangedManually.emit([True, True])
    assert sr.viewRange() == raw.viewRange() != before
    showing.window.reset_view()
    showing.until(lambda: sr.viewRange() == raw.viewRange() == before)


def test_the_users_view_and_contrast_are_kept_on_new_pictures(showing, publisher):
    panel = showing.window.sr
    panel.controls.low.setValue(3.0)
    panel.controls.high.setValue(40.0)
    panel.view.scaleBy((0.5, 0.5))
    zoomed = panel.view.viewRange()
    publisher.send_window(1, level=50)
    showing.until(lambda: showing.shows(1))
    showing.window.grab()  # views that follow their picture do so when they are drawn
    assert tuple(panel.image.levels) == (3.0, 40.0)
    assert not panel.controls.auto.isChecked()
    assert panel.view.viewRange() == zoomed
    panel.controls.auto.click()
    assert panel.image.levels[1] > 1_000


def test_colours_can_be_chosen(showing):
    showing.window.raw.controls.colours.setCurrentText("green")
    assert tuple(showing.window.raw.image.lut[-1]) == (0, 255, 0)


def test_a_dead_daemon_is_said_and_a_new_one_is_picked_up(showing, publisher, port):
    publisher.stop()
    showing.until(lambda: "disconnected / daemon silent for" in showing.window.status.connection.text())
    for panel in (showing.window.sr, showing.window.raw):
        assert panel.banner.isVisible()
        assert "STALE" in panel.banner.text()
        assert panel.image.opacity() < 1
    with Publisher(port, run="second-run") as reborn:
        showing.until(lambda: "PREVIOUS RUN" in showing.window.sr.banner.text())
        reborn.send_window(0)
        showing.until(lambda: showing.shows(0, run="second-run"))
        showing.until(lambda: not showing.window.sr.banner.isVisible())
        assert showing.window.sr.image.opacity() == 1
        assert showing.connected()


def test_what_cannot_be_read_is_counted_and_shown(showing, publisher):
    publisher.send([b"status", b"\x81\xa1v\x92\x02\x00"])
    publisher.send([b"nonsense"])
    showing.until(lambda: "2 messages" in showing.window.events.unreadable.text())
    assert showing.window.events.unreadable.isVisible()
    publisher.send([b"status", b"\x81\xa1v\x92\x02\x00"])
    showing.until(lambda: "protocol 2.0" in showing.window.events.unreadable.text())
    assert showing.connected()


def test_events_are_listed_newest_first(showing, publisher):
    for number, text in enumerate(("the first", "the second")):
        publisher.send(encode("event", event(number, text=text)))
    showing.until(lambda: showing.window.events.list.count() == 2)
    assert "WARNING  the second" in showing.window.events.list.item(0).text()


def test_pictures_that_are_not_finite_or_flat_are_drawn_without_complaint(showing, publisher):
    publisher.send_window(1, level=float("nan"))
    publisher.send_window(2, level=0.0, side=5, pixel_nm=None)
    showing.until(lambda: showing.shows(2))
    assert showing.window.sr.scale_bar.text.endswith("px")
    assert not showing.window.grab().isNull()


def test_the_receiver_stops_at_once_without_a_daemon(port):
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}", time.monotonic)
    subscriber.start()
    started = time.monotonic()
    subscriber.stop()
    assert time.monotonic() - started < 2


def test_an_address_the_socket_refuses_is_said():
    subscriber = Subscriber("tcp://", time.monotonic)
    with pytest.raises(zmq.ZMQError), zmq.Context() as context, context.socket(zmq.SUB) as probe:
        probe.connect("tcp://")
    subscriber.start()
    subscriber.stop()
    (arrival,) = subscriber.drain().arrivals
    assert "cannot listen at tcp://" in arrival.content
