"""--save: pictures of one size in one file, and a place that cannot be written never stops the stream."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from daemon.health import Health
from daemon.processing.repeated_pictures import RepeatedPictures
from daemon.protocol.messages import PictureHeader
from daemon.recording.picture_writer import PictureWriter
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures


@pytest.fixture
def health():
    return Health(run="run")


def picture(side, window=0, pixel_nm=25.0):
    header = PictureHeader(
        run="run",
        window=window,
        stream="0123456789abcdef",
        shape=(side, side),
        pixel_nm=pixel_nm,
        first_seq=0,
        last_seq=19,
        frames=20,
        published_unix_ns=1,
    )
    return SimpleNamespace(header=header, picture=np.full((side, side), window, np.float32))


def test_a_file_for_every_size_of_picture(tmp_path, health):
    movie = PictureWriter(tmp_path / "out.ome.tif", health)
    for window, side in enumerate((8, 8, 12, 12, 12)):
        movie.result(picture(side, window))
    movie.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-2.ome.tif", "out.ome.tif"]
    first, second = (read_pictures(tmp_path / name) for name in ("out.ome.tif", "out-2.ome.tif"))
    assert (first.pictures[:, 0, 0].tolist(), second.pictures[:, 0, 0].tolist()) == ([0, 1], [2, 3, 4])
    assert [record["window"] for record in second.records] == [2, 3, 4]
    assert first.pixel_nm == second.pixel_nm == 25


def test_a_file_for_every_size_of_pixel(tmp_path, health):
    movie = PictureWriter(tmp_path / "out.ome.tif", health)
    for window, pixel_nm in enumerate((25.0, 20.0, 20.0)):
        movie.result(picture(8, window, pixel_nm))
    movie.close()
    saved = [read_pictures(tmp_path / name) for name in ("out.ome.tif", "out-2.ome.tif")]
    assert [(len(one.pictures), one.pixel_nm) for one in saved] == [(1, 25), (2, 20)]


def repeated(side, window, pixel_nm):
    return SimpleNamespace(
        line=SimpleNamespace(index=window),
        result=SimpleNamespace(picture=np.full((side, side), window, np.float32)),
        pixel_nm=pixel_nm,
    )


def test_a_repeated_run_is_saved_in_the_same_files(tmp_path):
    with RepeatedPictures(tmp_path / "out.ome.tif") as pictures:
        for window, (side, pixel_nm) in enumerate([(8, 25.0), (8, 20.0), (12, 20.0), (12, 20.0)]):
            pictures.add(repeated(side, window, pixel_nm))
    saved = [read_pictures(tmp_path / name) for name in ("out.ome.tif", "out-2.ome.tif", "out-3.ome.tif")]
    assert [(one.pictures.shape, one.pixel_nm) for one in saved] == [
        ((1, 8, 8), 25),
        ((1, 8, 8), 20),
        ((2, 12, 12), 20),
    ]
    assert [record["window"] for record in saved[-1].records] == [2, 3]


def test_an_interrupted_repetition_leaves_no_file_under_its_name(tmp_path):
    with suppress(KeyboardInterrupt), RepeatedPictures(tmp_path / "out.ome.tif") as pictures:
        pictures.add(repeated(8, 0, 25.0))
        raise KeyboardInterrupt
    assert not (tmp_path / "out.ome.tif").exists()


def test_without_a_picture_there_is_no_file(tmp_path, health):
    PictureWriter(tmp_path / "out.tif", health).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_refused_at_the_start(tmp_path, health):
    with pytest.raises(InputError, match="is a folder"):
        PictureWriter(tmp_path, health)
    with pytest.raises(InputError, match="no such folder"):
        PictureWriter(tmp_path / "none" / "out.tif", health)


def test_a_place_that_cannot_be_written_ends_the_saving_with_one_event(tmp_path, health):
    folder = tmp_path / "folder"
    folder.mkdir()
    movie = PictureWriter(folder / "out.tif", health)
    assert health.status().saving.endswith("out.tif")
    folder.rmdir()
    for window in range(3):
        movie.result(picture(8, window))
    movie.close()
    assert [event.code for event in health.events_since(0)] == ["saving_stopped"]
    assert health.status().saving == ""


def test_a_file_that_cannot_get_its_name_is_told_and_its_pictures_are_kept(tmp_path, health):
    movie = PictureWriter(tmp_path / "out.tif", health)
    movie.result(picture(8))
    (tmp_path / "out.tif").mkdir()
    movie.close()
    assert [event.code for event in health.events_since(0)] == ["saving_stopped"]
    assert read_pictures(tmp_path / "out.tif.part").pictures.shape == (1, 8, 8)
