"""A report holds what its files say, as text that nothing in them can turn into anything else."""

import json
import re
from hashlib import blake2b
from html.parser import HTMLParser

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from selfstorm.cli import cli
from selfstorm.io.localization_table import LocalizationTable, TableInfo, table_writer
from selfstorm.io.picture_formats import picture_writer
from selfstorm.report.document import FigureBlock, TableBlock
from selfstorm.report.plots import bar_length_nm, length_text
from selfstorm.report.run_files import read_run
from selfstorm.report.sections import report_of

EVIL = '<script>alert("x")</script> & \u202egnp.exe\x07'
METRICS = {"resolution_nm": 61.0, "fidelity": 0.81, "misfit": 0.4, "emitters_per_frame": 12.0, "false_share": 0.02}
RNG = np.random.default_rng(1)
PICTURE = RNG.gamma(1.0, 1.0, (64, 48)).astype(np.float32)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.seen, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def run(tmp_path):
    """Files of a live run: manifest, pictures, localizations; of 150 frames 3 were lost."""
    counts = {"sent": 150, "received": 147, "missing": 3, "rejected": 2}
    record = {"run": "a" * 32, "first_seq": 50, "last_seq": 149, "scale": 4, "optics": EVIL, "unit": "photons/frame"}
    with picture_writer(tmp_path / "out.ome.tif", 25.0) as pictures:
        pictures.add(PICTURE, {**record, "frame_counts": counts, "metrics": METRICS})
    n = 400
    columns = [RNG.uniform(0, 1200, n), RNG.uniform(0, 1600, n)] + [RNG.uniform(5, 15, n) for _ in range(6)]
    with table_writer(tmp_path / "out.csv", TableInfo(16, 12, 100.0, 150)) as table:
        table.append(LocalizationTable(np.sort(RNG.integers(0, 150, n)), *columns))
    config = {"save": str(tmp_path / "out.ome.tif"), "localizations": "/elsewhere/out.csv", "optics": {"na": 1.4}}
    lines = [
        {
            "run": {
                "run": "a" * 32,
                "started_unix_ns": 0,
                "config": config,
                "versions": {"selfstorm": "0.1.0"},
                "device": "cpu",
            }
        },
        {
            "stream": {
                "stream": "s" * 8,
                "source": "x",
                "height": 16,
                "width": 12,
                "dtype": "uint16",
                "pixel_nm": 100.0,
                "camera": EVIL,
            }
        },
        *(
            {
                "window": {
                    "stream": "s" * 8,
                    "first_seq": first,
                    "last_seq": first + 99,
                    "seqs": [seq for seq in range(first, first + 100) if seq not in (7, 70, 71)],
                    "picture_hash": blake2b(PICTURE.tobytes(), digest_size=16).hexdigest(),
                    "metrics": {**METRICS, "misfit": METRICS["misfit"] + first / 1000},
                }
            }
            for first in (0, 50)
        ),
        {"event": {"unix_ns": 10**18, "level": "warning", "code": "frames_missing", "text": f"3 lost {EVIL}"}},
    ]
    manifest = tmp_path / "out.manifest.ndjson"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": {"unix')
    return manifest


def reported(*words):
    return CliRunner().invoke(cli, ["report", *map(str, words)])


def test_a_run_is_reported_and_no_text_of_its_files_is_markup(run):
    done = reported(run, "-o", run.parent / "r.html")
    assert done.exit_code == 0, done.output or done.exception
    page = (run.parent / "r.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "iframe", "object", "a"}
    assert all(attrs["src"].startswith("data:image/png;base64,") for tag, attrs in tags.seen if tag == "img")
    assert '<script>alert("x")</script> & gnp.exe' in tags.text
    assert not set(page) & {"\u202e", "\x07"}
    for said in (
        "150 sent = 147 delivered + 3 lost (the account is complete)",
        "2 arrived but were rejected",
        "3 lost",
        "frames_missing",
        "Verdict: good",
        "bit for bit as in the manifest",
        "The picture leaves 45.0 % of the mean frame unexplained.",
        "the earlier against the later",
        "61 nm",
        "optics.na",
        "arXiv:2403.16974",
        "Checklist",
    ):
        assert said in tags.text, said
    numbers = [int(number) for number in re.findall(r"<b>Figure (\d+)\.</b>", page)]
    assert numbers == [1, 2, 3, 4]


def test_the_account_of_a_manifest_alone_adds_up(run):
    (run.parent / "out.ome.tif").unlink()
    evidence = read_run(run)
    assert (evidence.account.sent, evidence.account.delivered, evidence.account.lost) == (150, 147, 3)
    assert evidence.table is not None  # found beside the manifest, not where it was saved
    assert "No picture of the run was saved" in evidence.notes[0]
    assert report_of(evidence).sections


def test_another_picture_than_the_manifests_is_named(run):
    with picture_writer(run.parent / "out.ome.tif", 25.0, overwrite=True) as pictures:
        pictures.add(PICTURE + 1, {"run": "a" * 32, "first_seq": 50, "metrics": METRICS})
    assert "not one of the manifest's" in " ".join(read_run(run).notes)


def test_pictures_of_a_movie_are_reported_with_its_camera_image(tmp_path):
    movie, pictures = tmp_path / "movie.tif", tmp_path / "sr.ome.tif"
    frames = np.arange(100, 120, dtype=np.uint16)[:, None, None] * np.ones((1, 16, 12), np.uint16)
    pixel = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(movie, frames, ome=True, metadata={"axes": "TYX", **pixel})
    with picture_writer(pictures, 25.0) as writer:
        writer.add(PICTURE, {"first_frame": 10, "last_frame": 19, "scale": 4, "movie": "/gone/movie.tif", "frames": 10})
    evidence = read_run(tmp_path)  # the folder's one file of pictures
    assert evidence.camera_mean.mean() == 114.5
    assert evidence.brightness[1].tolist() == list(range(100, 120))
    assert (evidence.account.sent, evidence.account.lost, evidence.pixel_nm) == (20, 0, 100.0)
    blocks = [block for section in report_of(evidence).sections for block in section.blocks]
    assert sum(isinstance(block, FigureBlock) for block in blocks) == 2
    todo = {row[0] for block in blocks if isinstance(block, TableBlock) for row in block.rows if row[1] == "□ to state"}
    assert {"Sample", "Exposure", "Objective, filters, excitation"} <= todo
    assert reported(pictures).exit_code == 0
    assert (tmp_path / "sr_report.html").is_file()
    assert reported(pictures).exit_code  # it exists, and is not replaced


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.manifest.ndjson", b"", "is empty"),
        ("x.manifest.ndjson", b'{"reset": true}\n', "does not begin with a run"),
        ("x.manifest.ndjson", b'{"run": 3}\n', "line 1"),
        ("x.manifest.ndjson", b"\xff\xfe", "cannot be read"),
        ("x.ome.tif", b"II", "holds no pictures of selfstorm"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    done = reported(tmp_path / name)
    assert done.exit_code
    assert said in str(done.exception)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_folder_of_several_runs_asks_for_one(run):
    (run.parent / "two.manifest.ndjson").write_bytes(run.read_bytes())
    assert "holds 2 of them: out.manifest.ndjson, two.manifest.ndjson" in str(reported(run.parent).exception)


def test_a_report_as_pdf(run):
    pytest.importorskip("reportlab")
    done = reported(run, "--pdf")
    assert done.exit_code == 0, done.output or done.exception
    content = (run.parent / "out_report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", content)) >= 3


@pytest.mark.parametrize(("width_nm", "bar"), [(6400, "1 µm"), (1200, "200 nm"), (51200, "10 µm"), (8000, "2 µm")])
def test_a_scale_bar_is_a_round_length(width_nm, bar):
    assert length_text(bar_length_nm(width_nm)) == bar


@pytest.mark.parametrize("key", ["save", "record", "localizations"])
@pytest.mark.parametrize("place", ["x" * 5000, "\0", "**", "***.ome.tif", "[.csv", "/", "..", "/dev/zero"])
def test_any_place_that_a_manifest_names_is_no_traceback(run, key, place):
    """A report is made of what is there."""
    first, *rest = run.read_text().splitlines(keepends=True)
    changed = json.loads(first)
    changed["run"]["config"] = {key: str(run.parent / place) if place.endswith((".tif", ".csv", "**")) else place}
    run.write_text("".join([json.dumps(changed) + "\n", *rest]))
    assert read_run(run).windows


def test_a_name_with_brackets_is_found(run):
    """They are no pattern: OUT-2.ome.tif follows OUT.ome.tif."""
    saved = run.parent / "cell [2]-2.ome.tif"
    (run.parent / "out.ome.tif").rename(saved)
    run.write_text(run.read_text().replace("out.ome.tif", "cell [2].ome.tif"))
    assert saved in read_run(run).files


@pytest.mark.parametrize("value", [1e308, -1e31])
def test_a_metric_that_no_axis_can_show_is_left_out(run, value):
    run.write_text(run.read_text().replace('"resolution_nm": 61.0', f'"resolution_nm": {value}'))
    assert "resolution_nm" not in read_run(run).windows[-1].metrics
    assert reported(run).exit_code == 0
