"""The one command for machines with a GPU runs where nothing but torch, numpy and scipy is installed."""

import json
import os
import runpy
import subprocess
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "gpu.py"))
# What torch, numpy and scipy need themselves; a package has a module of that name or files of its distribution.
THERE = ("torch", "numpy", "scipy", "filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "sympy")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python with torch, numpy and scipy alone, and what its `python -m pytest` and the like would need as wheels."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "python", symlinks=os.name != "nt")
    python = folder / "python" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = "import site; print(site.getsitepackages()[0])"
    packages = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    here = Path(torch.__file__).parents[1]
    for entry in here.iterdir():
        name = entry.name.lower().split("-")[0].split(".")[0]
        if name in {*THERE, "torchgen", "functorch"} or name.startswith(("nvidia", "triton")):
            try:
                (packages / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
            except OSError:
                pytest.skip("this machine makes no symbolic links")
    wheels = folder / "wheels"
    wheels.mkdir()
    for name in TOOL["PACKAGES"]:
        found = distribution(name)
        with zipfile.ZipFile(wheels / f"{name.lower().replace('-', '_')}-{found.version}-any.whl", "w") as wheel:
            for file in found.files:
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    wheel.write(found.locate_file(file), str(file))
    return python, wheels


def gpu_tool(bare, out, *arguments):
    python, wheels = bare
    line = [python, ROOT / "tools" / "gpu.py", "run", "--wheels", wheels, "-o", out, *arguments]
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(line, cwd=out, env=alone, capture_output=True, text=True, timeout=590, check=False)


@pytest.mark.timeout(600)  # half a minute where no other program runs
def test_all_steps_run_in_a_bare_environment(bare, tmp_path):
    done = gpu_tool(bare, tmp_path, "--device", "cpu", "--small")
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    assert done.returncode == 0, done.stdout + done.stderr + "".join(logs.values())
    assert len(logs) == len(TOOL["steps"](TOOL["SMALL"], "cpu", tmp_path))
    (run,) = json.loads((tmp_path / "stream.json").read_text())["rates"]
    assert (run["side_px"], run["rate_hz"], run["missing"]) == (24, 100.0, 0)
    table = (tmp_path / "table.txt").read_text()
    assert table in done.stdout
    for figure in (
        "16 px, preview after",
        "24 px, refined after",
        "24 px in tiles, refined after",
        "emitters: ",
        "live 24 px at 100 frames/s: ",
    ):
        assert figure in table, table
    assert "skipped" in logs["tests.log"]
    assert "no plot: matplotlib is not installed" in logs["stages.log"]


def test_steps_that_take_too_long_are_killed_and_the_rest_goes_on(tmp_path):
    steps = [TOOL["Step"]("sleeps", 1, ("-c", "import time; print('begun', flush=True); time.sleep(600)"))]
    result, took_s = TOOL["_run"](steps[0], 1, tmp_path, os.environ)
    assert (result, took_s < 60) == ("TOO LONG", True)
    assert (tmp_path / "sleeps.log").read_text() == "begun\n"
    assert TOOL["_run"](steps[0], 0, tmp_path, os.environ) == ("no time left", 0.0)


def test_the_steps_take_eight_minutes_at_most():
    steps = TOOL["steps"](TOOL["WHOLE"], "cuda", Path("out"))
    assert sum(step.seconds for step in steps) <= TOOL["MAX_SECONDS"] == 480


def test_every_package_is_pinned():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in pins} >= set(TOOL["PACKAGES"])


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="this machine has a GPU, and would use it"
)
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert TOOL["main"](["run", "-o", str(tmp_path)]) == 2
    assert "no CUDA or MPS device on this machine, so nothing was tested or measured" in capsys.readouterr().err
