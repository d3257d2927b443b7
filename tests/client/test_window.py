"""The window on a real socket.

These tests read what it shows, and what stays where the user put it.
"""

import time
from dataclasses import replace

import numpy as np
import pytest
import zmq
from client_stream import Publisher, event
from PySide6 import QtCore

from client.picture.contrast_controls import short_number, typed_number
from client.picture.crosshair import describe_point
from client.subscriber import Subscriber
from client.trust.trend_panel import places_of
from client.trust.trends import TrendPoint
from daemon.protocol.codec import encode
from selfstorm.metrics.registry import METRICS


def test_before_a_daemon_there_is_an_explanation(viewer):
    assert "Waiting for a daemon" in viewer.window.sr.message.text()
    assert viewer.window.sr.message.isVisible()
    assert (viewer.indicator("Daemon").value, viewer.indicator("Daemon").level) == ("waiting", "warning")


def test_both_pictures_are_drawn_over_the_same_field(showing):
    sr, raw = showing.window.sr, showing.window.raw
    assert sr.image.pixels.shape == (32, 32)
    assert raw.image.pixels.shape == (8, 8)
    assert sr.image.boundingRect() == raw.image.boundingRect()
    assert sr.image.boundingRect().width() == pytest.approx(0.8)
    assert sr.view.yInverted()
    assert sr.scale_bar.text
    assert raw.scale_bar.text
    assert not sr.message.isVisible()
    assert not sr.banner.isVisible()


def test_the_super_resolved_picture_is_the_large_one(showing):
    assert showing.window.sr.plot.width() > 1.5 * showing.window.raw.plot.width()
    assert showing.window.size() == QtCore.QSize(1280, 800)


def test_the_picture_says_what_it_is(showing):
    assert "model warm" in showing.window.facts.text.text()
    assert showing.window.facts.cautions.text() == "NOTE  the gain was guessed"
    assert showing.window.facts.cautions.isVisible()


def readable(label):
    """True where all of a label is on the screen."""
    return label.visibleRegion().boundingRect().size() == label.size() and label.width() >= label.sizeHint().width()


def test_a_preview_is_marked_until_its_refined_picture_comes(showing, publisher):
    size = showing.window.sr.plot.size()
    publisher.send_preview(1, level=5)
    showing.until(lambda: showing.shows(1))
    chip = showing.window.sr.chip
    assert chip.isVisible()
    assert chip.text() == "PREVIEW"
    showing.until(lambda: readable(chip))
    showing.window.grab()
    assert showing.window.sr.plot.size() == size
    assert "dashed" in showing.window.sr.frame.styleSheet()
    publisher.send_refined(1, level=7)
    showing.until(lambda: not chip.isVisible())
    assert showing.window.sr.picture.pixels[0, 0] == 7
    assert showing.window.raw.picture.pixels[0, 0] == 5
    assert "dashed" not in showing.window.sr.frame.styleSheet()


def centre(view):
    return view.viewRect().center().x(), view.viewRect().center().y()


@pytest.mark.parametrize("mover", ["sr", "raw"])
def test_zoom_and_pan_move_both_views_and_nothing_drifts(showing, mover):
    sr, raw = showing.window.sr.view, showing.window.raw.view
    moved = getattr(showing.window, mover).view
    before = sr.viewRect()
    moved.scaleBy((0.3, 0.3))
    moved.sigRangeChangedManually.emit([True, True])
    for _ in range(20):
        moved.translateBy(x=0.005, y=-0.002)
        moved.sigRangeChangedManually.emit([True, True])
    assert sr.viewRect().width() == pytest.approx(0.3 * before.width())
    assert centre(sr) == pytest.approx((before.center().x() + 0.1, before.center().y() - 0.04))
    assert centre(raw) == pytest.approx(centre(sr))
    assert raw.viewRect().adjusted(-1e-9, -1e-9, 1e-9, 1e-9).contains(sr.viewRect())
    showing.do("whole")
    showing.until(lambda: centre(sr) == pytest.approx((before.center().x(), before.center().y())))


def test_the_users_view_and_contrast_are_kept_on_new_pictures(showing, publisher):
    panel = showing.window.sr
    panel.controls.low.set_value(3.0)
    panel.controls.high.set_value(40.0)
    panel.view.scaleBy((0.5, 0.5))
    zoomed = panel.view.viewRange()
    publisher.send_window(1, level=50)
    showing.until(lambda: showing.shows(1))
    showing.window.grab()  # views that follow their picture do so when they are drawn
    assert panel.image.levels == (3.0, 40.0)
    assert not panel.controls.auto.isChecked()
    assert showing.window.menu_actions["lock"].isChecked()
    assert panel.view.viewRange() == zoomed
    panel.controls.auto.click()
    assert panel.image.levels[1] > 1_000


def test_what_is_no_number_is_put_back(showing):
    box = showing.window.sr.controls.low
    shown = box.text()
    box.setText("nonsense")
    box.setModified(True)
    box.editingFinished.emit()
    assert box.text() == shown
    assert showing.window.sr.controls.contrast.auto


@pytest.mark.parametrize(
    ("text", "number"),
    [("12.5", 12.5), (" 1e3 ", 1000.0), ("0,25", 0.25), ("nan", None), ("", None), ("1,000.5", None)],
)
def test_numbers_are_typed_with_point_or_comma(text, number):
    assert typed_number(text) == number


def test_levels_are_short_enough_for_their_box():
    shown = [short_number(value) for value in (0.0, 0.012345, 819.26, 45_811.3, 999_999.0, 2.5e7)]
    assert shown == ["0", "0.01235", "819.3", "45811", "999999", "2.5e+07"]


def middle_colour(item, place):
    """Colour of the drawn picture at a share (y, x) of it."""
    image = item.image
    return image.pixelColor(int(place[1] * image.width()), int(place[0] * image.height())).getRgb()[:3]


def test_colours_gamma_and_invert_are_seen(showing):
    controls, item = showing.window.sr.controls, showing.window.sr.image
    controls.colours.setCurrentText("green")
    showing.window.grab()
    bright = middle_colour(item, (0.99, 0.99))
    assert bright[0] == bright[2] == 0 < bright[1]
    plain = middle_colour(item, (0.3, 0.3))
    controls.menu.boxes["gamma"].setValue(0.5)
    showing.window.grab()
    assert middle_colour(item, (0.3, 0.3))[1] > plain[1]
    showing.do("invert")
    showing.window.grab()
    assert middle_colour(item, (0.99, 0.99))[1] < 40
    assert controls.menu.invert.isChecked()


def grabbed(showing, x, y):
    """Colour of the large picture's widget at a place of the field."""
    plot = showing.window.sr.plot
    at = plot.mapFromScene(showing.window.sr.view.mapViewToScene(QtCore.QPointF(x, y)))
    return plot.grab().toImage().pixelColor(at).getRgb()[:3]


def test_the_split_shows_raw_left_of_the_line_and_super_resolved_right(showing):
    showing.window.raw.controls.colours.setCurrentText("red")
    showing.window.sr.controls.colours.setCurrentText("green")
    showing.do("split")
    for where, raw_there in ((0.6, True), (0.2, False)):
        showing.window.sr.split_line.setValue(where)
        red, green, _ = grabbed(showing, 0.43, 0.65)
        assert (red > 0 == green) if raw_there else (green > 0 == red)


def test_the_overlay_adds_both_and_its_raw_can_be_dimmed(showing):
    showing.window.raw.controls.colours.setCurrentText("red")
    showing.window.sr.controls.colours.setCurrentText("green")
    showing.do("overlay")
    red, green, _ = grabbed(showing, 0.43, 0.65)
    assert red > 0
    assert green > 0
    showing.window.sr.raw_brightness.setValue(0)
    assert grabbed(showing, 0.43, 0.65)[0] < red


def test_the_crosshair_is_in_both_pictures_and_reads_both(showing):
    pair = showing.state.shown
    assert (
        describe_point(pair, 0.06, 0.16) == "x 0.060  y 0.160 µm   ·   super-resolved 195 photons/frame   ·   raw 9 ADU"
    )
    assert describe_point(pair, -0.1, 0.1) == describe_point(pair, 0.1, 0.9) == ""
    plot, view = showing.window.sr.plot, showing.window.sr.view
    plot.scene().sigMouseMoved.emit(view.mapViewToScene(QtCore.QPointF(0.05, 0.15)))
    assert "raw 9 ADU" in showing.window.cursor_label.full_text
    lines = showing.window.crosshair.lines
    assert all(vertical.isVisible() and vertical.value() == pytest.approx(0.05) for vertical, _ in lines)


def test_a_dead_daemon_is_said_and_a_new_one_is_picked_up(showing, publisher, port):
    publisher.stop()
    showing.until(lambda: showing.indicator("Daemon").value == "disconnected")
    assert showing.indicator("Daemon").level == "bad"
    assert not showing.window.time_bar.live.isChecked()
    for panel in (showing.window.sr, showing.window.raw):
        assert panel.banner.isVisible()
        assert "STALE" in panel.banner.text()
        assert panel.view.childGroup.opacity() < 1
    badge, banner = showing.window.sr.badge, showing.window.sr.banner
    assert badge.pos().y() >= banner.height() > 0
    with Publisher(port, run="second-run") as reborn:
        showing.until(lambda: "PREVIOUS RUN" in showing.window.sr.banner.text())
        reborn.send_window(0)
        showing.until(lambda: showing.shows(0, run="second-run"))
        showing.until(lambda: not showing.window.sr.banner.isVisible())
        assert showing.window.sr.view.childGroup.opacity() == 1
        assert showing.connected()


def test_what_cannot_be_read_is_counted_and_shown(showing, publisher):
    publisher.send([b"status", b"\x81\xa1v\x92\x03\x00"])
    publisher.send([b"nonsense"])
    showing.window.tabs.setCurrentWidget(showing.window.events)
    showing.until(lambda: "2 messages" in showing.window.events.unreadable.text())
    assert showing.window.events.unreadable.isVisible()
    publisher.send([b"status", b"\x81\xa1v\x92\x03\x00"])
    showing.until(lambda: "protocol 3.0" in showing.window.events.unreadable.text())
    assert showing.connected()


def test_events_are_listed_newest_first(showing, publisher):
    for number, text in enumerate(("the first", "the second")):
        publisher.send(encode("event", event(number, text=text)))
    showing.until(lambda: showing.window.events.list.count() == 2)
    assert "WARNING  the second" in showing.window.events.list.item(0).text()


def test_warnings_nobody_has_read_are_counted_on_their_tab(showing, publisher):
    tabs = showing.window.tabs
    place = tabs.indexOf(showing.window.events)
    for number, level in enumerate(("info", "warning", "error")):
        publisher.send(encode("event", event(number, level=level)))
    showing.until(lambda: tabs.tabText(place) == "Events (2)")
    tabs.setCurrentWidget(showing.window.events)
    showing.until(lambda: tabs.tabText(place) == "Events")
    tabs.setCurrentWidget(showing.window.facts)
    publisher.send(encode("event", event(3)))
    showing.until(lambda: tabs.tabText(place) == "Events (1)")


def test_pictures_that_are_not_finite_or_flat_are_drawn_without_complaint(showing, publisher):
    publisher.send_window(1, level=float("nan"))
    publisher.send_window(2, level=0.0, side=5, pixel_nm=None)
    showing.until(lambda: showing.shows(2))
    assert showing.window.sr.scale_bar.text.endswith("px")
    assert not showing.window.grab().isNull()


def test_trends_are_drawn_when_they_are_looked_at(showing, publisher):
    showing.window.tabs.setCurrentWidget(showing.window.trends)
    publisher.send_preview(1, metrics={"latency_ms": 40.0})
    publisher.send_refined(1, metrics={"latency_ms": 900.0, "misfit": 0.02, "emitters_per_frame": 12.0})

    def drawn(name):
        curve = showing.window.trends.curves.get(name)
        values = None if curve is None else curve.getData()[1]
        return (values is not None and list(np.round(values, 3))) or []

    showing.until(lambda: drawn("latency_ms") == [0.9])
    assert (drawn("preview"), drawn("misfit"), drawn("emitters_per_frame")) == ([0.04], [2.0], [12.0])


def test_trends_are_drawn_over_minutes_and_those_of_a_movie_over_windows():
    live = (TrendPoint(0, 100.0, 0), TrendPoint(1, 130.0, 0), TrendPoint(2, 220.0, 1))
    places, axis = places_of(live)
    assert (list(places), axis) == ([0.0, 0.5, 2.0], "minutes")
    places, axis = places_of(tuple(replace(one, at_s=0.0) for one in live))
    assert (list(places), axis) == ([0.0, 1.0, 2.0], "window")


def test_the_window_stays_on_its_screen_however_many_trends_there_are(showing, publisher):
    showing.window.tabs.setCurrentWidget(showing.window.trends)
    publisher.send_window(1, metrics={metric.key: 1.0 for metric in METRICS})
    showing.until(lambda: set(showing.window.trends.plots) >= {metric.key for metric in METRICS})
    publisher.send_window(2)
    showing.until(lambda: showing.shows(2))  # laid out by now
    assert showing.window.height() <= 800
    assert all(plot.height() >= 80 for plot in showing.window.trends.plots.values())


def test_plots_of_what_is_estimated_come_with_the_first_estimate(showing, publisher):
    trends = showing.window.trends
    showing.window.tabs.setCurrentWidget(trends)
    showing.until(lambda: "skipped" in trends.plots)
    assert not {"resolution_nm", "agreement"} & set(trends.plots)
    publisher.send_window(1, grade="reduced", effort="emitters", metrics={"resolution_nm": 47.0, "agreement": 0.95})
    showing.until(lambda: {"resolution_nm", "agreement"} <= set(trends.plots))
    assert trends.curves["resolution_nm"].getData()[1].tolist() == [47.0]


def test_the_receiver_stops_at_once_without_a_daemon(port):
    subscriber = Subscriber(f"tcp://127.0.0.1:{port}", time.monotonic)
    subscriber.start()
    subscriber.stop()
    assert not subscriber._thread.is_alive()


def test_an_address_the_socket_refuses_is_said():
    subscriber = Subscriber("tcp://", time.monotonic)
    with pytest.raises(zmq.ZMQError), zmq.Context() as context, context.socket(zmq.SUB) as probe:
        probe.connect("tcp://")
    subscriber.start()
    subscriber.stop()
    (arrival,) = subscriber.drain().arrivals
    assert "cannot listen at tcp://" in arrival.content
