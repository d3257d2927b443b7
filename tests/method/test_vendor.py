"""Vendors' movies behind their libraries; stand-ins with the libraries' documented interface, and CZI by Zeiss' own."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from selfstorm.errors import MovieError
from selfstorm.io.movies import MovieFile

FRAMES = np.random.default_rng(2).integers(0, 4000, (12, 2, 9, 13), dtype=np.uint16)


class Nd2File:
    """The part of nd2.ND2File that is used: channels lie inside of a stored frame."""

    def __init__(self, path):
        self.sizes = {"T": 12, "C": 2, "Y": 9, "X": 13}

    def read_frame(self, index):
        return FRAMES[index]

    def voxel_size(self):
        return SimpleNamespace(x=0.11, y=0.11, z=1.0)

    def close(self):
        self.closed = True


@pytest.fixture
def nd2(monkeypatch, tmp_path):
    module = ModuleType("nd2")
    module.ND2File = Nd2File
    monkeypatch.setitem(sys.modules, "nd2", module)
    path = tmp_path / "cell.nd2"
    path.write_bytes(b"stand-in")
    return path


def test_a_channel_of_an_nd2_file(nd2):
    with pytest.raises(MovieError, match=r"time \(12\), channel \(2\).*--select channel=0"):
        MovieFile(nd2)
    with MovieFile(nd2, {"channel": 1}) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[:, 1], strict=True)
        assert (movie.pixel_nm, movie.paths) == (110.0, (nd2,))


@pytest.mark.parametrize("name", ["cell.nd2", "cell.czi"])
def test_without_its_library_a_vendors_file_names_what_to_install(tmp_path, monkeypatch, name):
    for library in ("nd2", "bioio"):
        monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MovieError, match=r"needs .*selfstorm\[vendor\]"):
        MovieFile(tmp_path / name)


def test_what_a_library_cannot_read_is_a_sentence(nd2, monkeypatch):
    def broken(path):
        raise RuntimeError("chunk map not found\nsecond line")

    monkeypatch.setattr(sys.modules["nd2"], "ND2File", broken)
    with pytest.raises(MovieError, match="RuntimeError: chunk map not found"):
        MovieFile(nd2)


def test_a_czi_file_written_by_zeiss_own_library(tmp_path):
    czi = pytest.importorskip("pylibCZIrw.czi", reason='python -m pip install "selfstorm[vendor]"')
    pytest.importorskip("bioio_czi")
    with czi.create_czi(str(tmp_path / "cell.czi")) as document:
        for time, frame in enumerate(FRAMES[:, 0]):
            document.write(data=frame[..., None], plane={"T": time, "C": 0, "Z": 0})
        document.write_metadata("cell", scale_x=1.1e-7, scale_y=1.1e-7)
    with MovieFile(tmp_path / "cell.czi") as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[:, 0], strict=True)
        assert movie.pixel_nm == pytest.approx(110.0)
