"""Tools on the picture: profile, region, values, overview, scale bar."""

import sys
from pathlib import Path

import pytest
from client_stream import STREAM
from PySide6 import QtCore
from PySide6.QtCore import Qt

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))


from client.picture.crosshair import describe_point
from client.picture.region import CameraRegion
from daemon.protocol.codec import encode
from selfstorm.frames import StreamInfo


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


def test_values_under_a_resting_mouse_follow_the_picture(showing, publisher):
    plot, view = showing.window.sr.plot, showing.window.sr.view
    plot.scene().sigMouseMoved.emit(view.mapViewToScene(QtCore.QPointF(0.05, 0.15)))
    assert "raw 9 ADU" in showing.window.cursor_label.full_text
    publisher.send_window(1, level=2.0)
    showing.until(lambda: showing.shows(1))
    assert "raw 18 ADU" in showing.window.cursor_label.full_text


def test_escape_removes_what_is_drawn(showing, qtbot):
    showing.do("profile")
    showing.drag((0.1, 0.4), (0.7, 0.4))
    qtbot.keyClick(showing.window, Qt.Key.Key_Escape)
    assert showing.window.profile_line.ends is None
    assert not showing.window.menu_actions["profile"].isChecked()


def test_the_unit_stands_beside_the_levels_and_noise_is_zero(showing, publisher):
    assert showing.window.sr.controls.unit.text() == "photons/frame"
    assert showing.window.raw.controls.unit.text() == "ADU"
    publisher.send_window(1, level=1e-12)
    showing.until(lambda: showing.shows(1))
    assert "super-resolved 0 photons/frame" in describe_point(showing.state.shown, 0.05, 0.15)


def test_a_scale_bar_is_never_wider_than_the_field(showing):
    view, bar = showing.window.sr.view, showing.window.sr.scale_bar
    view.setRange(QtCore.QRectF(-2.5, -2.5, 6, 6), padding=0)
    assert bar.bar.rect().width() * view.viewPixelSize()[0] <= showing.window.sr.field.width


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
