"""Refuse a pipe or a device, which may have no end, in place of any file that is read, or beside one."""

import os
import socket
import threading

import numpy as np
import pytest
import tifffile
from test_damaged_files import FRAMES, ndtiff, plain

from daemon.cluster.config import load_cluster
from daemon.config import load
from daemon.feedback.settings import load_feedback
from daemon.protocol.key_file import load_key_file
from selfstorm.errors import InputError
from selfstorm.io.camera_settings import read_camera_settings
from selfstorm.io.movies import MovieFile
from selfstorm.io.picture_formats import read_records
from selfstorm.io.psf_files import read_psf
from selfstorm.io.recording import RecordingReader
from selfstorm.io.regular_file import read_regular

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")


def ended(read, *arguments):
    """Return what a read returns or raises; fail where it has no end."""
    results = []

    def run():
        try:
            results.append(read(*arguments))
        except InputError as error:
            results.append(error)

    reading = threading.Thread(target=run, daemon=True)
    reading.start()
    reading.join(10)
    assert results, "it waits"
    return results[0]


def length(path):
    with MovieFile(path) as movie:
        return movie.length


IN_PLACE = {
    "daemon.toml": lambda path: load(path, {}),
    "cluster.toml": load_cluster,
    "feedback.toml": load_feedback,
    "viewer.key": load_key_file,
    "config.yaml": read_camera_settings,
    "beads_3dcal.mat": lambda path: read_psf(path, 100.0),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused = ended(IN_PLACE[name], tmp_path / name)
    assert "is not a file" in str(refused)


def test_a_file_that_is_far_too_long_is_refused(tmp_path):
    with (tmp_path / "daemon.toml").open("wb") as file:
        file.truncate(2**40)
    assert "has more than 67,108,864 bytes" in str(ended(load, tmp_path / "daemon.toml", {}))
    with pytest.raises(InputError, match="more than 5 bytes"):
        read_regular(tmp_path / "daemon.toml", "", 5)


def raw_movie(folder, ending):
    (folder / f"movie{ending}").write_bytes(FRAMES.tobytes())
    return folder / f"movie{ending}"


def recording(folder):
    plain(folder / "movie.tif")
    return folder / "movie.tif"


def data_set(folder):
    ndtiff(folder)
    (folder / "acq_NDTiffStack.tif").unlink()
    return folder


def with_companion(folder):
    space = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
    text = f'<?xml version="1.0"?><OME {space}><BinaryOnly MetadataFile="m.companion.ome" UUID="urn:uuid:x"/></OME>'
    tifffile.imwrite(folder / "movie.ome.tif", FRAMES, description=text, metadata=None, photometric="minisblack")
    return folder / "movie.ome.tif"


def pictures(folder):
    return folder


def images(folder):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(folder / f"img_{number:09}_Default_000.tif", frame, photometric="minisblack")
    return folder


BESIDE = {
    "movie.inf": (lambda folder: raw_movie(folder, ".dax"), length, "movie.inf: is not a file"),
    "movie.yaml": (lambda folder: raw_movie(folder, ".raw"), length, "movie.yaml: is not a file"),
    "movie.jsonl": (recording, lambda path: RecordingReader([path]), "movie.jsonl: is not a file"),
    "acq_NDTiffStack.tif": (data_set, length, "acq_NDTiffStack.tif: is truncated"),
    "m.companion.ome": (with_companion, length, "m.companion.ome: is not a file"),
    "zarr.json": (pictures, read_records, "[]"),
    "metadata.txt": (images, length, "10"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_pipe_beside_a_file_is_named_or_passed_over(tmp_path, name):
    write, read, words = BESIDE[name]
    path = write(tmp_path)
    os.mkfifo(tmp_path / name)
    assert words in str(ended(read, path))


def listen(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


UNENDING = {
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a pipe": lambda path: (os.mkfifo(path.with_name("pipe")), path.symlink_to("pipe")),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a socket": listen,
}


@pytest.mark.parametrize("kind", UNENDING)
def test_what_could_be_read_for_ever_is_no_movie(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 characters
    UNENDING[kind](tmp_path.relative_to(tmp_path) / "movie.tif")
    with pytest.raises(InputError, match="is not a file"):
        MovieFile(tmp_path / "movie.tif")


@pytest.mark.parametrize("kind", UNENDING)
def test_a_folder_with_what_could_be_read_for_ever_is_read_around_it(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    UNENDING[kind](tmp_path.relative_to(tmp_path) / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 8, 8), np.uint16), photometric="minisblack")
    assert ended(length, tmp_path) == 3
