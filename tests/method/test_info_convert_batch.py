"""`selfstorm info`, `convert` and `batch`: provenance that travels, formats that keep the pixels, jobs that resume."""

import csv
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.commands import batch_jobs
from selfstorm.commands.reconstruction_files import OUTPUT_OPTIONS
from selfstorm.errors import InputError
from selfstorm.io.atomic_files import PART
from selfstorm.io.localization_table import read_table
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

LINE = ("--pixel-nm", "100", "--device", "cpu", "--quality", "fast", "--scale", "2")
FAST = (*LINE, "--estimate", "density", "--tuning-steps", "0")


def frames_of(seed, count=24, side=16):
    return np.stack([pixels for pixels, _ in simulate(Scene(height=side, width=side, seed=seed), frames=count)])


def run(*line, code=0):
    result = CliRunner().invoke(cli, [str(part) for part in line])
    if code == 0 and result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A movie with pictures, tables and a model of it."""
    folder = tmp_path_factory.mktemp("made")
    tifffile.imwrite(folder / "cell.tif", frames_of(1, 40, 24), photometric="minisblack")
    outputs = ("-o", folder / "cell_sr.ome.tif", "--localizations", folder / "cell.hdf5")
    run("reconstruct", folder / "cell.tif", *outputs, "--save-model", folder / "m.safetensors", "--window", 20, *LINE)
    return folder


def test_pictures_are_the_same_in_every_format(made, tmp_path):
    pytest.importorskip("tensorstore")
    run("reconstruct", made / "cell.tif", "-o", tmp_path / "cell.ome.zarr", "--window", 20, *LINE)
    run("convert", tmp_path / "cell.ome.zarr", tmp_path / "back.ome.tif")
    expected = read_pictures(made / "cell_sr.ome.tif")
    np.testing.assert_array_equal(read_pictures(tmp_path / "back.ome.tif").pictures, expected.pictures)
    assert MovieFile(tmp_path / "cell.ome.zarr").pixel_nm == expected.pixel_nm == 50
    assert "picture 1: frames 20-39" in run("info", tmp_path / "cell.ome.zarr")
    assert "picture 1: frames 20-39" in run("info", tmp_path / "back.ome.tif")


@pytest.mark.parametrize("option", sorted(OUTPUT_OPTIONS.keys() - {"-o"}))  # that is the folder of a batch
def test_a_batch_has_no_output_of_one_recording(made, option):
    assert "is for one recording" in run("batch", made, option, "out", code=2)


def test_one_picture_is_converted_with_its_record(made, tmp_path):
    run("reconstruct", made / "cell.tif", "-o", tmp_path / "one.ome.tif", *FAST)
    assert "one picture of 48x48" in run("convert", tmp_path / "one.ome.tif", tmp_path / "again.ome.tif")
    first, second = read_pictures(tmp_path / "one.ome.tif"), read_pictures(tmp_path / "again.ome.tif")
    np.testing.assert_array_equal(second.pictures, first.pictures)
    assert (second.records, second.pixel_nm) == (first.records, first.pixel_nm)


def test_info_shows_what_pictures_were_made_from(made):
    said = run("info", made / "cell_sr.ome.tif")
    for part in (
        "2 picture(s) of selfstorm",
        "software: selfstorm",
        f"movie: {made / 'cell.tif'}",
        "command: ",
        "optics: ",
        "picture 1: frames 20-39",
        "misfit",
        "verdict: ",
    ):
        assert part in said, said


def test_info_shows_movies_tables_and_models(made):
    assert "movie of 40 frames, 24 x 24 pixels, uint16" in run("info", made / "cell.tif")
    said = run("info", made / "cell.hdf5")
    assert "40 frames of 24 x 24 pixels of 100 nm" in said
    assert f"movie: {made / 'cell.tif'}" in said
    assert "model learned from" in run("info", made / "m.safetensors")


@pytest.mark.parametrize("name", ["nothing.tif", "x.txt", "x.csv", "x.safetensors"])
def test_info_of_what_is_none_of_these_is_a_sentence(tmp_path, name):
    if name != "nothing.tif":
        (tmp_path / name).write_text("none")
    with pytest.raises(InputError, match=name):
        run("info", tmp_path / name)


@pytest.mark.parametrize("ending", [".ome.tif", ".zarr"])
def test_a_movie_is_converted_bit_for_bit(made, tmp_path, ending):
    target = tmp_path / f"copy{ending}"
    run("convert", made / "cell.tif", target, "--pixel-nm", 100)
    with MovieFile(made / "cell.tif") as movie, MovieFile(target) as copy:
        np.testing.assert_array_equal(copy.frames(), movie.frames(), strict=True)
        assert (copy.pixel_nm, copy.notes) == (100.0, ())


@pytest.mark.parametrize("foreign", [None, "by another program", "notes.txt", "a link"])
def test_an_ome_zarr_is_replaced_only_where_it_holds_our_pictures_alone(made, tmp_path, foreign):
    """A refusal comes before any work."""
    target = tmp_path / "copy.zarr"
    line = ("convert", made / "cell.tif", target, "--pixel-nm", 100)
    run(*line, "--frames", "0:20")
    if foreign == "by another program":
        (target / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {"ome": {}}}')
    elif foreign == "a link":
        target.rename(tmp_path / "else.zarr")
        target.symlink_to(tmp_path / "else.zarr")
    elif foreign is not None:
        (target / foreign).write_text("bleached at frame 30")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="exists already"):
        run(*line)
    if foreign is None:
        run(*line, "--overwrite")
        with MovieFile(target) as copy:
            assert copy.shape[0] == 40
    else:
        with pytest.raises(InputError, match="is not replaced"):
            run(*line, "--overwrite")
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.old*"))


def test_the_old_ome_zarr_stays_where_the_new_one_cannot_be_named(made, tmp_path, monkeypatch):
    target = tmp_path / "copy.zarr"
    run("convert", made / "cell.tif", target, "--pixel-nm", 100)
    rename = type(target).rename

    def refuse(path, new):
        if path.name.endswith(PART):
            raise PermissionError(13, "held open by a viewer")
        return rename(path, new)

    monkeypatch.setattr(type(target), "rename", refuse)
    with pytest.raises(InputError, match=r"the new one is kept as copy\.zarr\.part"):
        run("convert", made / "cell.tif", target, "--pixel-nm", 100, "--frames", "0:20", "--overwrite")
    assert [len(MovieFile(one).frames()) for one in (target, tmp_path / "copy.zarr.part")] == [40, 20]


def test_a_dark_frame_of_an_ome_zarr_is_there(tmp_path):
    movie = frames_of(2, 20, 128)
    movie[7] = 0
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="minisblack")
    run("convert", tmp_path / "m.tif", tmp_path / "m.ome.zarr", "--frames", "2:19")
    with MovieFile(tmp_path / "m.ome.zarr") as copy:
        np.testing.assert_array_equal(copy.frames(), movie[2:19])
    group = json.loads((tmp_path / "m.ome.zarr" / "zarr.json").read_text())
    levels = group["attributes"]["ome"]["multiscales"][0]["datasets"]
    assert [level["path"] for level in levels] == ["0", "1"]


def test_pictures_keep_their_provenance(made, tmp_path):
    run("convert", made / "cell_sr.ome.tif", tmp_path / "copy.ome.tif")
    one, other = read_pictures(made / "cell_sr.ome.tif"), read_pictures(tmp_path / "copy.ome.tif")
    np.testing.assert_array_equal(one.pictures, other.pictures)
    assert (one.pixel_nm, one.records) == (other.pixel_nm, other.records)


@pytest.mark.parametrize("ending", [".csv", ".smlm", ".hdf5"])
def test_tables_are_converted(made, tmp_path, ending):
    run("convert", made / "cell.hdf5", tmp_path / f"t{ending}")
    one, other = read_table(made / "cell.hdf5")[0], read_table(tmp_path / f"t{ending}")[0]
    np.testing.assert_array_equal(one.frame, other.frame)
    np.testing.assert_allclose(one.x_nm, other.x_nm, atol=0.01)


def test_convert_replaces_nothing(made, tmp_path):
    before = (made / "cell.tif").read_bytes()
    for line in (
        ("convert", made / "cell.tif", made / "cell.tif", "--overwrite"),
        ("convert", made / "cell.hdf5", made / "cell.csv"),
    ):
        (made / "cell.csv").write_text("mine")
        with pytest.raises(InputError, match=r"replace the input|exists already"):
            run(*line)
    assert (made / "cell.tif").read_bytes() == before


@pytest.fixture
def archive(tmp_path):
    """Two recordings with names that differ behind a dot."""
    folder = tmp_path / "night"
    folder.mkdir()
    for seed, name in enumerate(["cell_0.5uM.tif", "cell_0.7uM.tif"]):
        tifffile.imwrite(folder / name, frames_of(seed), photometric="minisblack")
    return folder


def test_no_two_recordings_share_an_output(tmp_path):
    (tmp_path / "in" / "b").mkdir(parents=True)
    for name in ("cell_0.5uM.tif", "cell_0.7uM.tif", "b/cell.tif", "b/cell.ome.tif", "b/cell_0.5uM.tif"):
        tifffile.imwrite(tmp_path / "in" / name, np.zeros((9, 8, 8), np.uint16), photometric="minisblack")
    jobs = batch_jobs.find_jobs(tmp_path / "in", tmp_path / "out")
    assert {job.pictures.relative_to(tmp_path / "out").as_posix() for job in jobs} == {
        "cell_0.5uM_sr.ome.tif",
        "cell_0.7uM_sr.ome.tif",
        "b/cell.tif_sr.ome.tif",
        "b/cell.ome.tif_sr.ome.tif",
        "b/cell_0.5uM_sr.ome.tif",
    }
    assert len({job.manifest for job in jobs}) == 5


def test_outputs_of_a_batch_are_not_among_the_recordings(archive):
    for output in (archive, archive.parent):
        said = CliRunner().invoke(cli, ["batch", str(archive), "-o", str(output)])
        assert "is the folder of the recordings, or holds it; name another" in str(said.exception)
    assert len(list(archive.parent.iterdir())) == 1


def outputs(folder):
    return {path.name: path.read_bytes() for path in (folder.parent / f"{folder.name}_sr").rglob("*_sr.ome.tif")}


def test_every_recording_is_reconstructed_once_as_alone(archive):
    said = run("batch", archive, "--workers", 2, *FAST)
    assert "2 of 2 recordings done" in said
    pictures = outputs(archive)
    assert set(pictures) == {"cell_0.5uM_sr.ome.tif", "cell_0.7uM_sr.ome.tif"}
    run("reconstruct", archive / "cell_0.5uM.tif", "-o", archive.parent / "alone.ome.tif", *FAST)
    alone = read_pictures(archive.parent / "alone.ome.tif").pictures
    np.testing.assert_array_equal(alone, read_pictures(archive.parent / "night_sr" / "cell_0.5uM_sr.ome.tif").pictures)
    assert "done before" in run("batch", archive, *FAST)
    assert outputs(archive) == pictures
    with (archive.parent / "night_sr" / "selfstorm_batch.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["done before"] * 2
    assert all(float(row["pictures"]) == 1 for row in rows)


def test_a_recording_that_cannot_be_read_stops_no_other(archive):
    (archive / "bad.tif").write_bytes(b"no TIFF")
    said = run("batch", archive, *FAST, code=1)
    assert "2 of 3 recordings done" in said
    assert "bad.tif: failed: error: " in said


def test_other_options_are_other_pictures(archive):
    (archive / "cell_0.7uM.tif").unlink()
    run("batch", archive, *FAST)
    before = outputs(archive)
    assert "was made with other options" in run("batch", archive, *FAST, "--window", 12, code=1)
    assert outputs(archive) == before


def test_a_worker_that_is_killed_is_started_again(archive, monkeypatch):
    """The first process of a recording kills itself, as the kernel does when memory is short."""
    mark = archive.parent / "killed"
    code = (
        f"import os, pathlib, signal; mark = pathlib.Path({str(mark)!r})\n"
        "if not mark.exists():\n    mark.touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "from selfstorm.cli import main; main()"
    )
    monkeypatch.setattr(batch_jobs, "PROGRAM", (sys.executable, "-c", code))
    (archive / "cell_0.7uM.tif").unlink()
    assert "1 of 1 recordings done" in run("batch", archive, *FAST)


@pytest.mark.parametrize(("code", "attempts"), [(0, 1), (1, 1), (2, 1), (-9, 3), (0xC0000005, 3)])
def test_a_worker_is_started_again_only_where_the_system_ended_it(tmp_path, monkeypatch, code, attempts):
    """Its own fault would only come again. 0xC0000005 is an access violation of Windows."""
    process = MagicMock(returncode=code)
    process.__enter__.return_value = process
    process.stderr.read.return_value = "why"
    started = MagicMock(return_value=process)
    monkeypatch.setattr(batch_jobs.subprocess, "Popen", started)
    job, call = (
        SimpleNamespace(movie=tmp_path, pictures=tmp_path),
        SimpleNamespace(options=(), folder=".", environment={}),
    )
    assert batch_jobs._reconstruct(job, call) == (code, "why")
    assert started.call_count == attempts


@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_a_batch_that_is_killed_goes_on_where_it_was(archive):
    program = [sys.executable, "-c", "from selfstorm.cli import main; main()"]
    line = [*program, "batch", str(archive), *FAST]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()  # one recording is done
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finished = subprocess.run(line, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "done before" in finished.stdout
    assert len(outputs(archive)) == 2
    parts = list(archive.parent.rglob(f"*{PART}"))
    assert all(path.name.endswith(".ome.tif.part") for path in parts)
