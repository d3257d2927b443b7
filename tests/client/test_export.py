"""Pictures out of the viewer: views, data, drags, the clipboard."""

from datetime import datetime

import numpy as np
import pytest
from client_stream import header, pixels
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Qt

from client.export.file_names import file_stem, sample_of
from client.export.movie_export import save_data
from client.picture.pictures import Picture, PicturePair
from client.widgets.theme import theme
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures


def pair(window, level=1.0, preview=False, **other):
    pictures = []
    for kind in ("sr.refined", "raw.mean"):
        one = header(kind, window, **other)
        pictures.append(Picture(one, pixels(one.shape, level), 0.0, preview and kind == "sr.refined"))
    return PicturePair(*pictures)


def test_the_data_are_saved_to_the_last_bit_with_their_account(tmp_path):
    one = pair(7, level=1 / 3)
    sr, raw = save_data(tmp_path / "one.ome.tif", one)
    for path, picture in ((sr, one.sr), (raw, one.raw)):
        saved = read_pictures(path)
        assert saved.pictures.dtype == np.float32
        assert np.array_equal(saved.pictures[0], picture.pixels)
        assert saved.pixel_nm == pytest.approx(picture.header.pixel_nm)
        assert (saved.records[0]["window"], saved.records[0]["preview"]) == (7, False)
    assert raw.name == "one-raw.ome.tif"


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        save_data(tmp_path / "nowhere" / "one.ome.tif", pair(0))


def test_the_view_is_saved_with_its_scale_bar_and_says_what_it_shows(showing, tmp_path):
    path = showing.answers["Save view"] = tmp_path / "view.png"
    showing.do("save_view")
    image = QtGui.QImage(str(path))
    assert image.text("Title").endswith("FULL")
    assert "window 0: frames 0 to 99" in image.text("Description")
    assert "fire from" in image.text("Description")
    assert "view.png" in showing.window.message.full_text


def saved_view(showing, tmp_path):
    path = showing.answers["Save view"] = tmp_path / "view.png"
    showing.do("save_view")
    return QtGui.QImage(str(path))


def test_a_saved_view_is_the_picture_without_margins_over_its_caption(showing, tmp_path):
    image = saved_view(showing, tmp_path)
    view, plot = showing.window.sr.view, showing.window.sr.plot
    field = plot.mapFromScene(view.mapViewToScene(showing.window.sr.image.boundingRect())).boundingRect()
    zoom = round(image.width() / min(field.width(), plot.width()))
    assert zoom > 1  # a talk needs more pixels than this window has
    assert image.width() == pytest.approx(zoom * min(field.width(), plot.width()), abs=3 * zoom)
    bar = showing.window.sr.scale_bar.bar
    at = plot.mapFromScene(bar.mapToScene(bar.rect().center())) - field.topLeft()
    assert image.pixelColor(zoom * at).getRgb()[:3] == (255, 255, 255)
    right, bottom = (zoom * (side - 3) for side in (field.width(), field.height()))
    corners = [image.pixelColor(x, y) for x in (0, right) for y in (0, bottom)]
    assert QtGui.QColor(theme().picture) not in corners
    below = range(zoom * field.height(), image.height(), zoom)
    assert max(len({image.pixelColor(x, y).rgb() for x in range(image.width())}) for y in below) > 100  # a colour bar


def test_the_view_saved_is_the_one_that_the_dialog_named(showing, publisher, tmp_path):
    def while_the_dialog_is_open(name):
        publisher.send_window(1)
        showing.until(lambda: showing.shows(1))
        return tmp_path / name

    showing.answers["Save view"] = while_the_dialog_is_open
    showing.do("save_view")
    (path,) = tmp_path.glob("*_window0.png")
    assert "window 0: frames" in QtGui.QImage(str(path)).text("Description")


def test_a_reduced_picture_is_saved_with_its_badge(showing, publisher, tmp_path):
    publisher.send_window(1, estimate="density", grade="quick", effort="quick density")
    showing.until(lambda: showing.shows(1))
    badge = showing.window.sr.badge
    assert (badge.text, badge.isVisible()) == ("QUICK", True)
    assert "quick density" in badge.toolTip()
    before = saved_view(showing, tmp_path)
    assert before.text("Title").endswith("QUICK")
    badge.hide()
    assert saved_view(showing, tmp_path) != before


def test_a_picture_of_what_does_not_blink_is_saved_with_its_verdict_and_remedy(showing, publisher, tmp_path):
    publisher.send_window(1, metrics={"far_correlation": 0.9})
    showing.until(lambda: showing.shows(1))
    image = saved_view(showing, tmp_path)
    assert image.text("Title").endswith("FULL  ·  verdict: not blinking")
    assert "Only labels that blink" in image.text("Description")


def test_the_mouse_leaves_no_lines_in_a_saved_view(showing, tmp_path):
    before = saved_view(showing, tmp_path)
    view = showing.window.sr.view
    showing.window.crosshair._point(showing.window.sr.plot, view.mapViewToScene(QtCore.QPointF(0.3, 0.3)))
    vertical = showing.window.crosshair.lines[0][0]
    assert vertical.isVisible()
    assert saved_view(showing, tmp_path) == before
    assert vertical.isVisible()


def test_a_stale_picture_fades_to_black_in_either_theme(showing):
    sr = showing.window.sr
    sr.plot.setBackground("white")
    sr.show_stale("OLD")
    sr.image.hide()  # what it fades to
    centre = QtCore.QPointF(sr.field.width / 2, sr.field.height / 3)
    at = sr.plot.mapFromScene(sr.view.mapViewToScene(centre))
    assert sr.plot.grab().toImage().pixelColor(at).lightness() < 10


def test_a_stale_picture_is_saved_as_bright_as_it_was(showing, tmp_path):
    before = saved_view(showing, tmp_path)
    showing.window.sr.show_stale("OLD")
    assert saved_view(showing, tmp_path) == before


def test_files_are_named_by_date_sample_run_and_window():
    picture = Picture(header(window=70, run="1a2b3c4d", published_unix_ns=1_795_799_520_000_000_000), None, 0.0)
    date = f"{datetime.fromtimestamp(1_795_799_520):%Y%m%d-%H%M}"
    assert file_stem(picture, "cell 3/a") == f"{date}_cell-3-a_1a2b3c_window70"
    assert file_stem(picture) == f"{date}_1a2b3c_window70"
    assert sample_of("replay:///data/my%20cell3.ome.tif?loop=1") == "my cell3"
    assert sample_of("simulate://") == ""


def test_a_file_that_cannot_be_written_is_said_and_nothing_breaks(showing, tmp_path):
    for title, name in (("Save view", "save_view"), ("Save data", "save_data")):
        showing.answers[title] = tmp_path / "nowhere" / "file.png"
        showing.do(name)
        assert "nowhere" in showing.window.message.full_text


def pull(qtbot, grip, far=40):
    qtbot.mousePress(grip, Qt.MouseButton.LeftButton, pos=QtCore.QPoint(5, 5))
    qtbot.mouseMove(grip, QtCore.QPoint(5 + far, 5))
    qtbot.mouseRelease(grip, Qt.MouseButton.LeftButton)


def test_the_picture_shown_is_dragged_out_as_a_file_that_goes_with_the_viewer(showing, publisher, qtbot):
    publisher.send_window(1, level=3)
    showing.until(lambda: showing.shows(1))
    showing.do("back")
    pull(qtbot, showing.window.grip, far=2)
    assert showing.dragged == []
    pull(qtbot, showing.window.grip)
    (path,) = showing.dragged
    saved = read_pictures(path)
    assert saved.pictures.dtype == np.float32
    assert np.array_equal(saved.pictures[0], showing.window.sr.picture.pixels)
    assert (saved.pixel_nm, saved.records[0]["window"]) == (25.0, 0)
    assert "exported" in showing.window.message.full_text
    showing.session.stop()
    assert not path.parent.exists()


def test_there_is_nothing_to_drag_before_the_first_picture(viewer, qtbot):
    viewer.until(lambda: not viewer.window.grip.isEnabled())
    pull(qtbot, viewer.window.grip)
    assert viewer.dragged == []


def test_the_view_is_copied_to_the_clipboard(showing):
    showing.do("copy")
    assert QtWidgets.QApplication.clipboard().image().text("Title").startswith("Self-STORM live, window 0")
