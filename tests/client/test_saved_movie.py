"""Saved movies and pictures, opened in the viewer."""

import numpy as np
import pytest
import tifffile
from client_stream import header, pixels
from PySide6 import QtCore, QtTest

from client.export.file_names import file_stem
from client.timeline.saved_movie import open_movie
from selfstorm.io.ome_tiff import OmeTiffWriter


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
    facts = {"first_frame": 0, "last_frame": 49, "frames": 50, "scale": 8, "unit": "photons/frame"}
    record = facts | {"estimate": "fused"}  # as written before the quality was
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
    assert showing.window.sr.badge.text == ""
    assert file_stem(showing.window.sr.picture) == "OUT_window0"
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
