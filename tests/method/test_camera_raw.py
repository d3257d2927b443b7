"""Bare frames with a description beside them, and HDF5: every frame, or its number; other programs read the same."""

import json
import struct

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.errors import MovieError
from selfstorm.io.find_movies import find_movies
from selfstorm.io.localization_table import TableInfo, table_writer
from selfstorm.io.movies import MovieFile

FRAMES = np.random.default_rng(4).integers(0, 4000, (12, 9, 14), dtype=np.uint16)
INFO = """information file for
machine name = storm
frame dimensions = {width} x {height}
binning = 1 x 1
data type = 16 bit integers (binary, {order} endian)
number of frames = {frames}
"""


def picasso(folder, frames=FRAMES, order="<", promised=None, yaml=False):
    path = folder / "cell.raw"
    path.write_bytes(frames.astype(frames.dtype.newbyteorder(order)).tobytes())
    facts = {"Byte Order": order, "Data Type": frames.dtype.name, "Frames": promised or len(frames)}
    facts |= {"Height": frames.shape[1], "Width": frames.shape[2], "Pixelsize": 108}
    text = "".join(f"{key}: {repr(value) if key == 'Byte Order' else value}\n" for key, value in facts.items())
    path.with_suffix(".yaml").write_text(text if yaml else json.dumps(facts))
    return path


def dax(folder, frames=FRAMES, order="big", promised=None):
    path = folder / "cell.dax"
    path.write_bytes(frames.astype(">u2" if order == "big" else "<u2").tobytes())
    sides = {"height": frames.shape[1], "width": frames.shape[2]}
    path.with_suffix(".inf").write_text(INFO.format(order=order, frames=promised or len(frames), **sides))
    return path


def spe(folder, frames=FRAMES, promised=None, kind=3):
    path = folder / "cell.spe"
    header = bytearray(4100)
    struct.pack_into("<H", header, 42, frames.shape[2])
    struct.pack_into("<H", header, 656, frames.shape[1])
    struct.pack_into("<h", header, 108, kind)
    struct.pack_into("<i", header, 1446, promised or len(frames))
    struct.pack_into("<f", header, 1992, 2.5)
    path.write_bytes(bytes(header) + frames.tobytes())
    return path


WRITERS = [picasso, dax, spe]


@pytest.mark.parametrize("write", WRITERS)
def test_every_frame_is_read(tmp_path, write):
    path = write(tmp_path)
    with MovieFile(path) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)
        assert (movie.notes, movie.paths[0]) == ((), path)
        assert movie.pixel_nm == (108 if write is picasso else None)


@pytest.mark.parametrize("order", ["big", "little"])
def test_dax_in_both_byte_orders(tmp_path, order):
    with MovieFile(dax(tmp_path, order=order)) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)


@pytest.mark.parametrize("yaml", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_raw_in_every_type(tmp_path, order, dtype, yaml):
    frames = FRAMES.astype(dtype)
    with MovieFile(picasso(tmp_path, frames, order, yaml=yaml)) as movie:
        np.testing.assert_array_equal(movie.frames(), frames)


@pytest.mark.parametrize("write", WRITERS)
def test_frames_that_a_cut_file_lacks_are_named(tmp_path, write):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-700])  # two whole frames and a part of the third
    with MovieFile(path) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[:9])
        (note,) = movie.notes
        assert "frames 9-11 of 12 are missing" in note


@pytest.mark.parametrize("write", WRITERS)
def test_frames_that_are_not_described_are_left_out_and_counted(tmp_path, write):
    with MovieFile(write(tmp_path, promised=10)) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[:10])
        assert "2 more frames are behind the 10" in movie.notes[0]


@pytest.mark.parametrize("write", WRITERS)
def test_without_a_whole_frame_there_is_no_movie(tmp_path, write):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[: 4200 if write is spe else 100])
    with pytest.raises(MovieError, match="is truncated"):
        MovieFile(path)


@pytest.mark.parametrize(("write", "sidecar"), [(picasso, "cell.yaml"), (dax, "cell.inf")])
def test_a_missing_description_is_named(tmp_path, write, sidecar):
    path = write(tmp_path)
    (tmp_path / sidecar).unlink()
    with pytest.raises(MovieError, match=rf"has no {sidecar} beside it"):
        MovieFile(path)


@pytest.mark.parametrize(
    ("write", "sidecar", "text"),
    [
        (picasso, ".yaml", "Height: 9\n"),
        (picasso, ".yaml", "[1, 2]"),
        (picasso, ".yaml", '{"Byte Order": "?", "Data Type": "uint16", "Frames": 2, "Height": 9, "Width": 14}'),
        (picasso, ".yaml", '{"Byte Order": "<", "Data Type": "uint16", "Frames": -2, "Height": 9, "Width": 14}'),
        (picasso, ".yaml", '{"Byte Order": "<", "Data Type": "O", "Frames": 2, "Height": 9, "Width": 14}'),
        (dax, ".inf", "frame dimensions = 14 x 9\n"),
        (dax, ".inf", INFO.format(width=0, height=9, frames=3, order="big")),
        (dax, ".inf", INFO.format(width=10**30, height=9, frames=3, order="big")),
    ],
)
def test_a_description_that_makes_no_sense_is_a_sentence(tmp_path, write, sidecar, text):
    path = write(tmp_path)
    path.with_suffix(sidecar).write_text(text)
    with pytest.raises(MovieError, match=r"cell\.(raw|dax): (is not described|has frames of|has object)"):
        MovieFile(path)


def test_other_programs_read_the_same(tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    np.testing.assert_array_equal(imageio.imread(spe(tmp_path), plugin="SPE", index=...), FRAMES)


def test_picasso_reads_the_same(tmp_path):
    theirs = pytest.importorskip("picasso.io", reason="python -m pip install picassosr")
    np.testing.assert_array_equal(theirs.load_raw(str(picasso(tmp_path, yaml=True)))[0], FRAMES)


def hdf5(folder, **movies):
    path = folder / "cell.h5"
    with h5py.File(path, "w") as file:
        for name, pixels in movies.items():
            file.create_dataset(f"entry/{name}", data=pixels)
    return path


def test_the_only_movie_of_an_hdf5_file(tmp_path):
    with MovieFile(hdf5(tmp_path, camera=FRAMES, dark=FRAMES[0], times=FRAMES[:, 0, 0])) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES)


def test_one_of_several_movies_is_chosen_by_its_path(tmp_path):
    path = hdf5(tmp_path, left=FRAMES, right=FRAMES[:, ::-1])
    with pytest.raises(MovieError, match=r"holds 2 .*--select dataset=NAME: /entry/left, /entry/right"):
        MovieFile(path)
    with MovieFile(path, {"dataset": "entry/right"}) as movie:
        np.testing.assert_array_equal(movie.frames(), FRAMES[:, ::-1])
    with pytest.raises(MovieError, match=r"has no movie /entry/middle; it has /entry/left"):
        MovieFile(path, {"dataset": "/entry/middle"})
    line = ["convert", str(path), str(tmp_path / "x.ome.tif"), "--select", "dataset=/entry/left"]
    said = CliRunner().invoke(cli, line)
    assert said.exit_code == 0, said.output


def test_hdf5_that_is_no_movie_is_a_sentence(tmp_path):
    with pytest.raises(MovieError, match="holds no data set of three axes"):
        MovieFile(hdf5(tmp_path, dark=FRAMES[0]))
    (tmp_path / "x.h5").write_bytes(b"no HDF5")
    with pytest.raises(MovieError, match=r"x\.h5: cannot be read"):
        MovieFile(tmp_path / "x.h5")


def test_a_batch_finds_them_and_takes_no_table_for_a_movie(tmp_path):
    paths = [write(tmp_path) for write in WRITERS] + [hdf5(tmp_path, camera=FRAMES)]
    table_writer(tmp_path / "table.hdf5", TableInfo(9, 14, 100.0, 12)).close()
    assert set(find_movies(tmp_path)) == set(paths)
