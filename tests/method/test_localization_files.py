"""Localization tables: every format has the same emitters, units and precision, for our reader and for others'."""

import json
import math
import os
import random
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import numpy.lib.recfunctions as rfn
import pytest
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.commands.info import describe
from selfstorm.errors import InputError
from selfstorm.io.hdf5_superblock import lookup3, mark_closed
from selfstorm.io.localization_table import LocalizationTable, TableInfo, read_table, table_writer
from selfstorm.io.truth import read_truth
from selfstorm.report.run_files import read_run

INFO = TableInfo(48, 64, 100.0, 200, {"movie": "cell.tif", "software": "selfstorm"})
RNG = np.random.default_rng(5)
N = 120
TABLE = LocalizationTable(
    frame=np.sort(RNG.integers(0, 200, N)),
    x_nm=RNG.uniform(60, 6300, N),
    y_nm=RNG.uniform(60, 4700, N),
    sigma_nm=np.full(N, 128.5),
    photons=RNG.uniform(200, 4000, N),
    background_photons=RNG.uniform(5, 40, N),
    background_sd=RNG.uniform(2, 7, N),
    sd_x_nm=RNG.uniform(3, 25, N),
    sd_y_nm=RNG.uniform(3, 25, N),
)


def written(path, table=TABLE):
    """In three parts, as windows come."""
    with table_writer(path, INFO) as writer:
        for start in range(0, len(table), 50):
            writer.append(table.rows(start, start + 50))
    assert writer.rows == len(table)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_every_format_comes_back(tmp_path, suffix):
    table, info = read_table(written(tmp_path / f"found{suffix}"))
    np.testing.assert_array_equal(table.frame, TABLE.frame)
    for name in ("x_nm", "y_nm", "photons", "background_photons", "background_sd", "sd_nm", "sigma_nm"):
        np.testing.assert_allclose(getattr(table, name), getattr(TABLE, name), atol=0.06, err_msg=name)
    if suffix != ".csv":
        assert info is not None
        assert (info.height, info.width, info.pixel_nm, info.frames) == (48, 64, 100.0, 200)
        np.testing.assert_allclose(table.sd_x_nm, TABLE.sd_x_nm, rtol=1e-5)
        np.testing.assert_allclose(table.sd_y_nm, TABLE.sd_y_nm, rtol=1e-5)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_an_empty_table_is_a_table(tmp_path, suffix):
    assert len(read_table(written(tmp_path / f"none{suffix}", TABLE.rows(0, 0)))[0]) == 0


def test_picasso_counts_pixels_from_the_middle_of_the_first(tmp_path):
    path = written(tmp_path / "found.hdf5")
    with h5py.File(path) as file:
        locs, metadata = file["locs"][()], json.loads(file["metadata"][()])
    np.testing.assert_allclose((locs["x"] + 0.5) * 100, TABLE.x_nm, rtol=1e-5)
    np.testing.assert_allclose(locs["lpx"] * 100, TABLE.sd_x_nm, rtol=1e-5)
    np.testing.assert_allclose(locs["lpy"] * 100, TABLE.sd_y_nm, rtol=1e-5)
    assert {"frame", "x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy"} <= set(locs.dtype.names)
    assert [metadata[0][key] for key in ("Frames", "Height", "Width", "Pixelsize")] == [200, 48, 64, 100.0]
    assert (tmp_path / "found.yaml").read_text().split("\n---\n")[0] == json.dumps(metadata[0])


def test_a_killed_run_leaves_a_picasso_table_that_can_be_read(tmp_path):
    writer = table_writer(tmp_path / "found.hdf5", INFO)
    writer.append(TABLE.rows(0, 50))  # and no more
    with h5py.File(tmp_path / "found.hdf5.part") as file:
        np.testing.assert_array_equal(file["locs"]["frame"], TABLE.frame[:50])


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_a_killed_runs_table_is_completed_by_convert(tmp_path, suffix):
    path = tmp_path / f"found{suffix}"
    writer = table_writer(path, replace(INFO, frames=1))
    for start in range(0, N, 50):
        writer.frames = 200
        writer.append(TABLE.rows(start, start + 50))
    writer.abandon()
    part = tmp_path / f"found{suffix}.part"
    table, info = read_table(part)
    np.testing.assert_allclose(table.x_nm, TABLE.x_nm, atol=0.01)
    assert CliRunner().invoke(cli, ["convert", str(part), str(path)]).exit_code == 0
    again, completed = read_table(path)
    np.testing.assert_array_equal(again.frame, TABLE.frame)
    if suffix != ".csv":
        frames = {".hdf5": 200, ".smlm": TABLE.frame.max() + 1}[suffix]  # a row says how far an SMLM file is
        assert [(one.height, one.pixel_nm, one.frames) for one in (info, completed)] == [(48, 100.0, frames)] * 2
        assert info.facts["movie"] == "cell.tif"


@pytest.mark.parametrize("suffix", [".csv", ".smlm"])
@pytest.mark.parametrize("cut", [1, 5, 17])
def test_a_row_that_was_cut_is_left_out(tmp_path, suffix, cut):
    writer = table_writer(tmp_path / f"found{suffix}", INFO)
    writer.append(TABLE)
    writer.abandon()
    part = tmp_path / f"found{suffix}.part"
    part.write_bytes(part.read_bytes()[:-cut])
    table, _ = read_table(part)
    np.testing.assert_array_equal(table.frame, TABLE.frame[:-1])
    np.testing.assert_allclose(table.x_nm, TABLE.x_nm[:-1], atol=0.01)


APPENDS = """
import sys
from pathlib import Path
import numpy as np
import numpy.lib.recfunctions as rfn
from selfstorm.io.localization_table import LocalizationTable, TableInfo, table_writer
writer = table_writer(Path(sys.argv[1]), TableInfo(48, 64, 100.0, 1))
for part in range(10**6):
    values = np.full(700, float(part + 1))
    writer.frames = part + 1
    writer.append(LocalizationTable(np.full(700, part), *[values] * 8))
    print(part + 1, flush=True)
"""


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_whenever_the_writer_is_killed_its_rows_are_there(tmp_path, suffix):
    """Most kills meet it in the middle of a write."""
    for attempt in range(8):
        path = tmp_path / f"{attempt}{suffix}"
        process = subprocess.Popen([sys.executable, "-c", APPENDS, path], stdout=subprocess.PIPE, text=True)
        for _ in range(random.Random(attempt).randrange(2, 30)):
            process.stdout.readline()
        process.kill()
        said = process.communicate()[0].split()
        parts = int(said[-1]) if said else 1
        table, info = read_table(path.with_name(path.name + ".part"))
        assert len(table) >= 700 * parts
        whole = 700 * parts
        np.testing.assert_array_equal(table.frame[:whole], np.repeat(np.arange(parts), 700))
        np.testing.assert_allclose(table.photons[:whole], table.frame[:whole] + 1)
        assert info is None or info.frames >= parts


def test_the_manifest_of_an_smlm_file_describes_its_table(tmp_path):
    with zipfile.ZipFile(written(tmp_path / "found.smlm")) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        size = archive.getinfo("table-0.bin").file_size
    (layout,), (file,) = manifest["formats"].values(), manifest["files"]
    assert manifest["format_version"] == "0.2"
    assert size == file["rows"] * sum(np.dtype(kind).itemsize for kind in layout["dtype"])
    assert dict(zip(layout["headers"], layout["units"], strict=True))["uncertainty_x"] == "nm"
    assert file["max"]["x"] == pytest.approx(TABLE.x_nm.max())


def of_picasso_itself(path):
    """A table without the column that Picasso does not write, and one row whose fit gave no precision."""
    written(path)
    with h5py.File(path, "r+") as file:
        locs = file["locs"][()]
        locs["lpx"][0] = math.nan
        kept = [name for name in locs.dtype.names if name != "background_sd"]
        del file["locs"]
        file["locs"] = rfn.repack_fields(locs[kept])
    return path


def test_unknown_values_of_a_converted_table_make_it_no_other_format(tmp_path):
    """JSON has no NaN, Java writes it so, and one unknown value hides no others."""
    source = of_picasso_itself(tmp_path / "picasso.hdf5")
    run = CliRunner()
    for target in ("found.smlm", "found.csv"):
        assert run.invoke(cli, ["convert", str(source), str(tmp_path / target)]).exit_code == 0
    with zipfile.ZipFile(tmp_path / "found.smlm") as archive:
        manifest = json.loads(archive.read("manifest.json"), parse_constant=pytest.fail)
    [file] = manifest["files"]
    assert "background_sd" not in file["min"]
    assert file["max"]["uncertainty_x"] == pytest.approx(TABLE.sd_x_nm[1:].max())
    [first, *_] = (tmp_path / "found.csv").read_text().splitlines()[1:]
    assert first.split(",")[7:] == ["NaN", "NaN"]
    for target in ("found.smlm", "found.csv"):
        table, _ = read_table(tmp_path / target)
        assert np.isnan(table.background_sd).all()
        np.testing.assert_allclose(table.x_nm, TABLE.x_nm, atol=0.01)


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_an_existing_table_is_not_replaced(tmp_path, suffix):
    path = tmp_path / f"found{suffix}"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        table_writer(path, INFO)
    assert path.read_text() == "mine"


def test_a_yaml_beside_the_table_is_not_replaced(tmp_path):
    (tmp_path / "found.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"found\.yaml: exists already"):
        table_writer(tmp_path / "found.hdf5", INFO)


@pytest.mark.parametrize("name", ["found.txt", "found"])
def test_an_unknown_ending_names_those_that_are_known(tmp_path, name):
    with pytest.raises(InputError, match=r"\.csv .*\.hdf5 .*\.smlm"):
        table_writer(tmp_path / name, INFO)


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".smlm"])
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path, suffix):
    (tmp_path / f"x{suffix}").write_bytes(b"no table")
    with pytest.raises(InputError, match=f"x\\{suffix}"):
        read_table(tmp_path / f"x{suffix}")


def test_picasso_itself_reads_the_table(tmp_path):
    picasso = pytest.importorskip("picasso.io", reason="python -m pip install picassosr")
    locs, info = picasso.load_locs(str(written(tmp_path / "found.hdf5")))
    assert len(locs) == N
    np.testing.assert_allclose((locs["x"] + 0.5) * 100, TABLE.x_nm, rtol=1e-5)
    np.testing.assert_allclose(locs["lpy"] * 100, TABLE.sd_y_nm, rtol=1e-5)
    assert info[0]["Pixelsize"] == 100.0


def test_locan_itself_reads_the_tables(tmp_path):
    locan = pytest.importorskip("locan", reason="python -m pip install locan")
    smlm = locan.load_SMLM_file(path=written(tmp_path / "found.smlm")).data
    thunderstorm = locan.load_thunderstorm_file(path=written(tmp_path / "found.csv")).data
    np.testing.assert_allclose(smlm["position_x"], TABLE.x_nm, rtol=1e-5)
    np.testing.assert_allclose(thunderstorm["position_x"], TABLE.x_nm, atol=0.01)
    np.testing.assert_array_equal(smlm["frame"], TABLE.frame)
    np.testing.assert_array_equal(thunderstorm["frame"], TABLE.frame + 1)  # ThunderSTORM counts from 1


def test_hdf5s_checksum_is_jenkins():
    assert lookup3(b"Four score and seven years ago") == 0x17770551  # his own example
    assert mark_closed(b"no HDF5") == b"no HDF5"


HEADER = "id,frame,x [nm],y [nm],sigma [nm],intensity [photon],offset [photon],bkgstd [photon],uncertainty [nm]"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e30"])
@pytest.mark.parametrize("column", ["frame", "x [nm]", "y [nm]"])
def test_localizations_that_lie_nowhere_are_named(tmp_path, column, value):
    """Converted or linked, they would end it with a traceback."""
    row = dict.fromkeys(HEADER.split(","), "5")
    lines = [HEADER, ",".join(row.values()), ",".join((row | {column: value}).values())]
    (tmp_path / "found.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"row 2 has no frame or no position \(1 of 2 rows\); remove"):
        read_table(tmp_path / "found.csv")


READERS = {
    "found.csv": read_table,
    "found.hdf5": read_table,
    "found.smlm": read_table,
    "truth.csv": read_truth,
    "run.manifest.ndjson": read_run,
    "learned.safetensors": lambda path: list(describe(path)),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_not_waited_for(tmp_path, name):
    path, fault = tmp_path / name, []
    os.mkfifo(path)

    def read():
        with pytest.raises(InputError, match="is not a file"):
            READERS[name](path)
        fault.append("named")

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(20)
    assert fault
