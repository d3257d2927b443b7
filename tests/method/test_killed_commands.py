"""A command that is killed while it writes leaves no half-written file under a final name."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from selfstorm.io.picture_formats import picture_writer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the user's folder and limits files as on Linux")

# The kernel kills a process at the write that exceeds a limit, unless it ignores the signal, as Python does.
KILLED_AT = """
import json, os, resource, signal, sys
from pathlib import Path
import matplotlib.font_manager  # makes its cache, which is a file, too
import selfstorm.calibration.photon_transfer  # once, not in each child
import selfstorm.report.html_page, selfstorm.report.run_files, selfstorm.report.sections
from selfstorm.cli import cli
sys.dont_write_bytecode = True
given = os.listdir()
for line, at_bytes in json.load(sys.stdin):
    if not (child := os.fork()):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, resource.RLIM_INFINITY))
        cli.main(line, standalone_mode=False)
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ
    print(json.dumps([killed, sorted(path.name for path in Path().rglob("*.*") if path.name not in given)]), flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    record = {"run": "a" * 32, "first_seq": 0, "last_seq": 99, "scale": 4, "unit": "photons/frame"}
    with picture_writer(tmp_path / "out.ome.tif", 25.0) as pictures:
        pictures.add(rng.gamma(1.0, 1.0, (24, 24)).astype(np.float32), record)
    for name, photons in (("dark", 0), ("dim", 50), ("bright", 300)):
        frames = 100 + rng.poisson(photons, (40, 12, 12)) * 2 + rng.normal(0, 2, (40, 12, 12))
        tifffile.imwrite(tmp_path / f"{name}.tif", frames.astype(np.uint16), photometric="minisblack")
    return tmp_path


STEPS = [
    (["report", "out.ome.tif", "-o", "page.html"], 5000),
    (["calibrate", "camera", "dark.tif", "dim.tif", "bright.tif", "--serial", "SN 1"], 1500),
]


def test_no_half_written_file_gets_its_name(folder):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT],
        input=json.dumps(STEPS),
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"XDG_CONFIG_HOME": str(folder / "home")},
        timeout=100,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    parts = ["page.html.part"], ["camera_SN 1.tif.part", "page.html.part"]
    assert said == [[True, names] for names in parts], done.stdout + done.stderr
