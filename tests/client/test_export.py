"""Data out, and movies in again."""

import sys
import threading
from datetime import datetime

import numpy as np
import pytest
import tifffile
from client_stream import header, pixels
from PySide6 import QtCore, QtGui, QtTest, QtWidgets
from PySide6.QtCore import Qt

from client.export.file_names import file_stem, sample_of
from client.export.movie_export import MovieExport, save_data
from client.picture.pictures import Picture, PicturePair
from client.timeline.saved_movie import open_movie
from client.widgets.theme import theme
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import OmeTiffWriter, read_pictures


def pair(window, level=1.0, preview=False, **other):
    pictures = []
    for kind in ("sr.refined", "raw.mean"):
        one = header(kind, window, **other)
        pictures.append(Picture(one, pixels(one.shape, level), 0.0, preview and kind == "sr.refined"))
    return PicturePair(*pictures)


def record(window):
    return header("sr.refined", window).model_dump(mode="json", exclude={"shape", "dtype"})


@pytest.fixture
def movie(tmp_path):
    """A movie as the daemon's --save writes it: windows 0 to 3."""
    path = tmp_path / "cell.ome.tif"
    with OmeTiffWriter(path, 25.0) as writer:
        for window in range(4):
            writer.add(pixels((32, 32), window + 1), record(window))
    return path


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


def test_the_windows_kept_are_saved_as_a_movie_that_opens_again(showing, publisher, tmp_path):
    publisher.send_window(1, level=2)
    showing.until(lambda: showing.shows(1))
    showing.do("mark")
    publisher.send_window(2, level=3, side=5)
    publisher.send_preview(3, level=4)
    showing.until(lambda: showing.shows(3))
    path = showing.answers["Save movie"] = tmp_path / "kept.ome.tif"
    showing.do("save_movie")
    showing.until(lambda: "3 windows saved" in showing.window.message.full_text)
    assert "1 of another size left out" in showing.window.message.full_text
    saved = read_pictures(path)
    assert [one["window"] for one in saved.records] == [0, 1, 3]
    assert [one["marked"] for one in saved.records] == [False, True, False]
    history = open_movie(path)
    assert [one.sr.preview for one in history.pairs] == [False, False, True]
    assert np.array_equal(history.get(1).sr.pixels, pixels((32, 32), 2))


def test_a_movie_that_cannot_be_written_to_its_end_is_said_and_removed(showing, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OmeTiffWriter, "add", full)
    showing.answers["Save movie"] = tmp_path / "kept.ome.tif"
    showing.do("save_movie")
    showing.until(lambda: "No space left" in showing.window.message.full_text)
    assert list(tmp_path.glob("kept*")) == []


def test_closing_while_a_movie_is_saved_leaves_nothing_half_written(showing, publisher, tmp_path, monkeypatch):
    publisher.send_window(1)
    showing.until(lambda: showing.shows(1))
    stopped = threading.Event()
    abort = MovieExport.abort
    monkeypatch.setattr(OmeTiffWriter, "add", lambda *_: stopped.wait(30))  # it is at the first window until then
    monkeypatch.setattr(MovieExport, "abort", lambda movie: (movie.aborted.set(), stopped.set(), abort(movie)))
    showing.answers["Save movie"] = tmp_path / "kept.ome.tif"
    showing.do("save_movie")
    showing.session.stop()
    assert list(tmp_path.glob("kept*")) == []


def test_a_saved_movie_opens_in_the_same_window_with_the_same_scrubber(showing, movie):
    showing.answers["Open movie"] = movie
    showing.do("open")
    window = showing.window
    assert window.sr.picture.header.window == 0
    assert window.sr.field.width == pytest.approx(0.8)
    assert not window.raw.isVisible()
    assert len(showing.state.trend.samples) == 4
    assert not window.sr.banner.isVisible()
    showing.do("forward")
    assert window.sr.picture.pixels[0, 0] == 2
    showing.do("play")
    showing.until(lambda: window.sr.picture.header.window == 3)
    assert showing.indicator("File").value == "cell.ome.tif"
    assert not window.sr.chip.isVisible()
    assert "window 3" in window.facts.text.text()


def test_a_file_that_is_no_movie_is_said_and_what_is_shown_stays(showing, tmp_path):
    path = tmp_path / "text.tif"
    path.write_text("no movie")
    showing.answers["Open movie"] = path
    showing.do("open")
    assert "text.tif" in showing.window.message.full_text
    assert showing.shows(0)


def test_any_stack_of_grey_pictures_opens(tmp_path):
    path = tmp_path / "frames.tif"
    tifffile.imwrite(path, np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7))
    history = open_movie(path)
    assert [one.sr.header.window for one in history.pairs] == [0, 1, 2, 3, 4]
    assert history.get(4).sr.pixels[5, 6] == 209


def test_a_record_that_cannot_be_read_costs_its_account_only(tmp_path):
    path = tmp_path / "odd.ome.tif"
    with OmeTiffWriter(path, 25.0) as writer:
        writer.add(pixels((8, 8)), {"window": "nonsense"})
    (one,) = open_movie(path).pairs
    assert (one.sr.header.window, one.sr.header.pixel_nm) == (0, 25.0)


def test_a_picture_of_selfstorm_reconstruct_shows_its_own_record(showing, tmp_path):
    path = showing.answers["Open movie"] = tmp_path / "OUT.ome.tif"
    metrics = {"fidelity": 0.81, "emitters_per_frame": 40.0, "misfit": 0.007}
    record = {"first_frame": 0, "last_frame": 49, "frames": 50, "scale": 8, "unit": "photons/frame"}
    with OmeTiffWriter(path, 12.5) as writer:
        writer.add(
            pixels((64, 64)), record | {"metrics": metrics, "notes": ["dim"], "command": "selfstorm reconstruct"}
        )
    showing.do("open")
    facts = showing.window.facts
    assert "frames 0 to 49, 50 used" in facts.text.text()
    assert "8x finer" in facts.text.text()
    assert "command: selfstorm reconstruct" in facts.text.text()
    assert "not stored in this file: missing frames, quality, device" in facts.text.text()
    assert "quality full" not in facts.text.text()
    assert "dim" in facts.cautions.text()
    assert showing.window.sr.picture.unit == "photons/frame"
    assert showing.indicator("Verdict").value == "good"
    assert showing.indicator("Quality").explanation == "Not stored in this file."
    assert showing.indicator("Misfit").value == "0.7 %"
    QtTest.QTest.keyClick(showing.window, QtCore.Qt.Key.Key_T)
    assert "selfstorm reconstruct --trust-map" in showing.window.message.full_text


def test_a_file_without_a_record_is_not_called_super_resolved(showing, tmp_path):
    assert showing.window.sr.title.text() == "Super-resolved"
    path = showing.answers["Open movie"] = tmp_path / "frames.tif"
    tifffile.imwrite(path, np.arange(2 * 6 * 7, dtype=np.uint16).reshape(2, 6, 7))
    showing.do("open")
    assert showing.window.sr.title.text() == "Picture of a file"


def test_a_picture_without_a_record_claims_no_frames_and_no_quality(showing, tmp_path):
    path = showing.answers["Open movie"] = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels((8, 8)))
    showing.do("open")
    text = showing.window.facts.text.text()
    assert "frames 0" not in text
    assert "x finer" not in text
    assert "not stored in this file: frames, missing frames, quality, magnification, unit, metrics, device" in text
    assert showing.indicator("Verdict").explanation == "Not stored in this file."


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio leaves its pipes open
@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_the_windows_kept_are_saved_as_a_film_with_one_contrast(showing, publisher, tmp_path, ending):
    sequence = pytest.importorskip("PIL.ImageSequence", reason="needs the extra [movie]")
    reader = pytest.importorskip("PIL.Image" if ending == "gif" else "imageio_ffmpeg", reason="needs the extra [movie]")
    for window, level in ((1, 0.5), (2, 2.0)):
        publisher.send_window(window, level=level)
        showing.until(lambda window=window: showing.shows(window))
    path = showing.answers["Save movie"] = tmp_path / f"kept.{ending}"
    showing.do("save_movie")
    showing.until(lambda: "3 windows saved" in showing.window.message.full_text)
    if ending == "gif":
        with reader.open(path) as film:
            frames = [np.asarray(one.convert("RGB")) for one in sequence.Iterator(film)]
    else:
        told, *frames = reader.read_frames(str(path))
        width, height = told["size"]
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames]
    assert len(frames) == 3
    brightness = [frame[60:400, 60:400].mean() for frame in frames]
    assert brightness[1] < brightness[0] < brightness[2]
    assert all("MP4" in showing.asked and word in showing.asked for word in ("GIF", "fits all windows"))
    assert [one.name for one in tmp_path.glob("kept*")] == [path.name]


def test_a_film_of_windows_that_fade_is_drawn_with_levels_of_all_of_them(showing, publisher, tmp_path):
    sequence = pytest.importorskip("PIL.ImageSequence", reason="needs the extra [movie]")
    image = pytest.importorskip("PIL.Image", reason="needs the extra [movie]")
    levels = [showing.window.sr.image.levels]
    for window, level in ((1, 0.6), (2, 0.1)):
        publisher.send_window(window, level=level)
        showing.until(lambda window=window: showing.shows(window))
        levels.append(showing.window.sr.image.levels)
    path = showing.answers["Save movie"] = tmp_path / "kept.gif"
    showing.do("save_movie")
    film = showing.session.exports.movie.writer
    showing.until(lambda: "3 windows saved" in showing.window.message.full_text)
    assert film.levels == (min(low for low, _ in levels), max(high for _, high in levels))
    with image.open(path) as film:
        assert len(list(sequence.Iterator(film))) == 3
    showing.do("lock")
    showing.do("save_movie")
    assert "locked" in showing.asked
    film = showing.session.exports.movie.writer
    showing.until(lambda: showing.session.exports.movie is None)
    assert film.levels == pytest.approx(levels[-1], rel=1e-3)


def test_a_film_without_its_package_says_what_to_install(showing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    showing.answers["Save movie"] = tmp_path / "kept.mp4"
    showing.do("save_movie")
    assert 'pip install "selfstorm[movie]"' in showing.window.message.full_text
    assert list(tmp_path.glob("kept*")) == []
