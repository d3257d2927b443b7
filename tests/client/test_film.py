"""The windows in memory, saved as a movie or a film."""

import sys
import threading

import numpy as np
import pytest
from client_stream import pixels

from client.export.movie_export import MovieExport
from client.timeline.saved_movie import open_movie
from client.window.export_commands import _without_ome
from selfstorm.io.ome_tiff import OmeTiffWriter, read_pictures


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


def test_a_movie_is_named_by_its_windows_and_a_film_without_the_ending_of_a_movie(showing, publisher, tmp_path):
    publisher.send_window(4)
    showing.until(lambda: showing.shows(4))
    names = []
    showing.answers["Save movie"] = lambda name: names.append(name) or ""
    showing.do("save_movie")
    assert names[0].endswith("_windows0-4-movie.ome.tif")
    other = tmp_path / "kept.mp4"
    assert _without_ome(tmp_path / "kept.ome.mp4") == other
    other.touch()
    assert _without_ome(tmp_path / "kept.ome.mp4").name == "kept.ome.mp4"  # the dialog has not asked for the other
    assert _without_ome(tmp_path / "kept.ome.tif").name == "kept.ome.tif"


def test_a_film_without_its_package_says_what_to_install(showing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    showing.answers["Save movie"] = tmp_path / "kept.mp4"
    showing.do("save_movie")
    assert 'pip install "selfstorm[movie]"' in showing.window.message.full_text
    assert list(tmp_path.glob("kept*")) == []
