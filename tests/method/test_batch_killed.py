"""A batch of twenty recordings that is killed three times ends with twenty right outputs, each made once.

Its program is a quick one with the outputs of the real one: `test_info_convert_batch.py` kills that, too.
"""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from selfstorm.io.ome_tiff import read_pictures

COUNT, FRAMES = 20, 40
RECONSTRUCT = """
from selfstorm.parent_process import end_with_parent
end_with_parent()
import sys, tifffile
from pathlib import Path
from selfstorm.io.ome_tiff import OmeTiffWriter
movie, output = Path(sys.argv[2]), Path(sys.argv[4])
with OmeTiffWriter(output, 50.0) as writer:
    for number, frame in enumerate(tifffile.imread(movie)):
        record = {"window": number, "movie": str(movie), "metrics": {"misfit": float(number)}}
        writer.add(frame.astype("f4") ** 0.5, record)
        sys.stderr.write("-")  # what a reader of the pipe waits for
"""
BATCH = f"""
import sys
from selfstorm.commands import batch_jobs
batch_jobs.PROGRAM = (sys.executable, "-c", {RECONSTRUCT!r})
from selfstorm.cli import main
main()
"""

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="finds the workers by ps"),
    pytest.mark.timeout(400),
]


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "night"
    folder.mkdir()
    for seed in range(COUNT):
        frames = np.random.default_rng(seed).integers(0, 4000, (FRAMES, 16, 16), dtype=np.uint16)
        tifffile.imwrite(folder / f"cell_{seed}.tif", frames, photometric="minisblack")
    return folder


def batch_line(archive, output):
    return [sys.executable, "-c", BATCH, "batch", str(archive), "-o", str(output), "--workers", "3"]


def children_of(process):
    """The processes that a process started, and that have not ended."""
    line = [shutil.which("ps"), "-eo", "pid,ppid,stat"]
    rows = [row.split() for row in subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()]
    return [int(pid) for pid, parent, state in rows if parent == str(process.pid) and not state.startswith("Z")]


def published(output):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output.glob("*_sr.ome.tif")}


def start(archive, output):
    return subprocess.Popen(batch_line(archive, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_twenty_recordings_killed_three_times_are_done_once_each(archive, tmp_path):
    output, done = tmp_path / "out", {}
    for wanted in (2, 5, 3):  # recordings until the batch is killed
        with start(archive, output) as process:
            for _ in range(wanted):
                process.stdout.readline()
            for worker in children_of(process)[:1]:  # a single worker first: it is started again
                os.kill(worker, signal.SIGKILL)
            process.stdout.readline()
            process.kill()
            process.communicate()  # its pipes are closed when its workers have ended, too
        now = published(output)
        assert done.items() <= now.items()
        done = now
    assert len(done) < COUNT
    with start(archive, output) as process:
        said, errors = process.communicate()
    assert process.returncode == 0, said + errors
    assert f"{COUNT} of {COUNT} recordings done" in said
    assert done.items() <= published(output).items()  # none was made again
    assert said.count("done before") >= len(done)
    assert len(published(output)) == len(list(output.glob("cell_*_sr.json"))) == COUNT
    for movie in archive.glob("*.tif"):
        made = read_pictures(output / f"{movie.stem}_sr.ome.tif")
        np.testing.assert_array_equal(made.pictures, tifffile.imread(movie).astype("f4") ** 0.5, strict=True)
        assert [record["window"] for record in made.records] == list(range(FRAMES))
        assert {record["movie"] for record in made.records} == {str(movie)}
    assert (output / "selfstorm_batch.html").read_text().count("<tr>") == COUNT + 1
