"""`selfstorm reconstruct` and `simulate`: raw data and earlier results survive every command line."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.commands.reconstruction_files import default_output
from selfstorm.errors import InputError

LINE = ("--pixel-nm", "100", "--device", "cpu", "--quality", "fast")


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.tif"
    tifffile.imwrite(path, np.random.default_rng(1).poisson(100, (12, 16, 16)).astype(np.uint16), metadata=None)
    return path


def run(*line):
    return CliRunner().invoke(cli, [str(part) for part in line])


@pytest.mark.parametrize("option", ["-o", "--localizations", "--error-map", "--save-model"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_no_option_replaces_the_movie(raw, option, overwrite):
    before = raw.read_bytes()
    for path in (raw, raw.parent / "RAW.TIF", raw.parent / "x" / ".." / "raw.tif"):
        (raw.parent / "x").mkdir(exist_ok=True)
        result = run("reconstruct", raw, option, path, *LINE, *overwrite)
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith(f"{option}: ")
    assert raw.read_bytes() == before
    assert {path.name for path in raw.parent.iterdir()} == {"raw.tif", "x"}


def test_no_file_of_a_movie_of_several_is_replaced(tmp_path):
    uid, space = "urn:uuid:0000000{}-0000-0000-0000-000000000000", "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="{t % 4}"><UUID FileName="part{t // 4}.ome.tif">{uid.format(t // 4)}</UUID>'
        "</TiffData>"
        for t in range(8)
    )
    for part in range(2):
        xml = (
            f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{space}" UUID="{uid.format(part)}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="16" SizeZ="1" SizeC="1" '
            f'SizeT="8"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        ).encode()
        frames = np.full((4, 16, 16), part, np.uint16)
        path = tmp_path / f"part{part}.ome.tif"
        tifffile.imwrite(path, frames, metadata=None, description=xml, photometric="minisblack")
    result = run("reconstruct", tmp_path / "part0.ome.tif", "-o", tmp_path / "part1.ome.tif", *LINE, "--overwrite")
    assert "would replace the input" in str(result.exception)


@pytest.mark.parametrize("option", ["-o", "--error-map"])
def test_pictures_are_called_pictures(raw, option):
    result = run("reconstruct", raw, option, raw.parent / "table.csv", *LINE)
    assert str(result.exception) == f"{option}: '.csv' is no format for pictures; name it .ome.tif or .zarr"
    assert [path.name for path in raw.parent.iterdir()] == ["raw.tif"]


def test_an_earlier_picture_is_replaced_only_on_request(raw):
    earlier = raw.parent / "raw_sr.ome.tif"
    earlier.write_bytes(b"earlier")
    result = run("reconstruct", raw, *LINE)
    assert "exists already" in str(result.exception)
    assert earlier.read_bytes() == b"earlier"


def test_simulate_replaces_nothing_and_its_two_outputs_are_two_files(tmp_path):
    one, other = tmp_path / "movie.ome.tif", tmp_path / "truth.csv"
    size = ("--frames", 2, "--height", 8, "--width", 8)
    assert "both name" in str(run("simulate", "-o", one, "--truth", tmp_path / "MOVIE.ome.tif", *size).exception)
    other.write_text("mine")
    assert "exists already" in str(run("simulate", "-o", one, "--truth", other, *size).exception)
    assert (other.read_text(), one.exists()) == ("mine", False)
    assert run("simulate", "-o", one, "--truth", other, *size, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("movie", "output"),
    [
        ("cell_0.5uM.tif", "cell_0.5uM_sr.ome.tif"),
        ("cell_0.7uM.ome.tif", "cell_0.7uM_sr.ome.tif"),
        ("2026.11.27_a", "2026.11.27_a_sr.ome.tif"),
    ],
)
def test_two_movies_never_share_an_output(movie, output):
    assert default_output(Path("folder") / movie) == Path("folder") / output


def test_the_folder_one_is_in_gives_its_name_to_the_output(tmp_path, monkeypatch):
    (tmp_path / "run_1.2").mkdir()
    monkeypatch.chdir(tmp_path / "run_1.2")
    assert default_output(Path()) == tmp_path / "run_1.2_sr.ome.tif"
