"""Outputs: nothing that exists is replaced unless asked for, an input never, and what a killed run left is kept."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from selfstorm.errors import InputError
from selfstorm.io.atomic_files import (
    atomic_write,
    check_file,
    check_new,
    check_outputs,
    claim_temporary,
    publish,
    same_file,
    stem,
)
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.report.run_files import read_run

RAW = b"the only copy of a night at the microscope"


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.tif"
    path.write_bytes(RAW)
    return path


def spellings(raw: Path) -> dict[str, Path]:
    """Other names of the same file."""
    folder = raw.parent
    (folder / "inner").mkdir()
    (folder / "linked").symlink_to(folder, target_is_directory=True)
    (folder / "link.tif").symlink_to(raw)
    os.link(raw, folder / "hard.tif")
    return {
        "itself": raw,
        "relative": folder / "inner" / ".." / "raw.tif",
        "another case": folder / "RAW.tif",
        "a link": folder / "link.tif",
        "a hard link": folder / "hard.tif",
        "through a linked folder": folder / "linked" / "raw.tif",
    }


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_output_is_an_input_however_it_is_spelled(raw, overwrite):
    for spelling, path in spellings(raw).items():
        with pytest.raises(InputError, match="would replace the input") as refused:
            check_outputs({"-o": path}, [raw], overwrite=overwrite)
        assert str(refused.value).startswith("-o: "), spelling
    assert raw.read_bytes() == RAW


def test_no_output_lies_in_a_folder_that_is_read(tmp_path):
    data = tmp_path / "cell.zarr"
    (data / "0").mkdir(parents=True)
    with pytest.raises(InputError, match="would replace the input"):
        check_outputs({"-o": data / "0" / "0.0"}, [data], overwrite=True)
    check_outputs({"-o": tmp_path / "cell.zarr.tif"}, [data])


@pytest.mark.parametrize("second", ["out.tif", "OUT.tif", "in/../out.tif", "out.tif.part"])
def test_no_output_is_another_or_its_temporary_file(tmp_path, second):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match=r"(-o|--error-map) and (-o|--error-map) both name"):
        check_outputs({"-o": tmp_path / "out.tif", "--error-map": tmp_path / second, "--save-model": None})


def test_what_exists_is_replaced_only_on_request(raw):
    with pytest.raises(InputError, match=r"exists already; choose another name, or replace it with --overwrite"):
        check_outputs({"-o": raw})
    check_outputs({"-o": raw}, overwrite=True)
    with pytest.raises(InputError, match="exists already"), atomic_write(raw):
        pytest.fail("the block began")
    assert raw.read_bytes() == RAW
    with atomic_write(raw, overwrite=True) as part:
        part.write_bytes(b"new")
    assert raw.read_bytes() == b"new"


def test_a_link_to_nowhere_is_not_written_through(tmp_path):
    (tmp_path / "out.tif").symlink_to(tmp_path / "elsewhere.tif")
    with pytest.raises(InputError, match="exists already"):
        check_outputs({"-o": tmp_path / "out.tif"})


def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_new_one(tmp_path):
    path = tmp_path / "out.tif"
    part = claim_temporary(path)
    part.write_bytes(b"new")
    path.write_bytes(RAW)
    with pytest.raises(InputError, match=r"exists already and is not replaced; the new file is kept as out\.tif\.part"):
        publish(part, path)
    assert (path.read_bytes(), part.read_bytes()) == (RAW, b"new")


def test_what_a_killed_run_left_is_kept(tmp_path):
    path = tmp_path / "out.ome.tif"
    left = claim_temporary(path)
    left.write_bytes(RAW)
    with OmeTiffWriter(path, 25.0) as writer:
        writer.add(np.zeros((8, 8), np.float32))
        assert writer.part.name == "out.ome.tif.2.part"
    assert left.read_bytes() == RAW
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.ome.tif", "out.ome.tif.part"]


def test_an_exception_leaves_neither_name(tmp_path):
    with contextlib.suppress(KeyError), atomic_write(tmp_path / "out.json") as part:
        part.write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "its"),
    [
        ("cell_0.5uM.tif", "cell_0.5uM"),
        ("cell_0.7uM.ome.tif", "cell_0.7uM"),
        ("MOVIE.OME.TIF", "MOVIE"),
        ("2026.11.27_a", "2026.11.27_a"),
        ("a.b.ome.zarr", "a.b"),
        ("movie.v2.tiff", "movie.v2"),
        (".tif", ".tif"),
    ],
)
def test_only_the_ending_goes_from_a_name(name, its):
    assert stem(Path(name)) == its


def test_the_name_of_the_folder_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stem(Path()) == tmp_path.name


def test_two_files_are_two_files(tmp_path):
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(b"")
    assert not same_file(tmp_path / "a.tif", tmp_path / "b.tif")
    assert not same_file(tmp_path / "a.tif", tmp_path / "c.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has neither in folders")
@pytest.mark.parametrize("kind", ["a pipe", "a link to a pipe", "a link to a device"])
def test_a_device_or_a_pipe_is_never_replaced(tmp_path, kind):
    """With an administrator's rights, --overwrite put a file in the place of a device that all programs use."""
    path, pipe = tmp_path / "out.html", tmp_path / "pipe"
    os.mkfifo(path if kind == "a pipe" else pipe)
    if kind != "a pipe":
        path.symlink_to(pipe if "pipe" in kind else os.devnull)

    def write():
        with atomic_write(path, overwrite=True) as part:
            part.write_text("x")

    for replace in (lambda: check_outputs({"-o": path}, overwrite=True), write):
        with pytest.raises(InputError, match="is not a file"):
            replace()
    assert not path.is_file()


@pytest.mark.parametrize("name", ["x" * 300, "x" * 252, "x\0.csv"], ids=["long", "long with .part", "half a name"])
def test_a_name_that_no_file_can_have_is_refused_in_words(tmp_path, name):
    for refuse in (check_file, check_new, claim_temporary, lambda path: check_outputs({"-o": path})):
        with pytest.raises(InputError, match="no file can have this name"):
            refuse(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_run(tmp_path / name)
