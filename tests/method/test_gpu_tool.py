"""The one command for machines with a GPU runs from end to end on one without, and says when there is none."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def gpu_tool(*arguments):
    line = [sys.executable, str(ROOT / "tools" / "gpu.py"), *arguments]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.timeout(210)  # some 25 s alone; three programs are started
def test_its_steps_run_on_a_cpu(tmp_path):
    done = gpu_tool("--device", "cpu", "--small", "-o", str(tmp_path), "--steps", "tests", "live")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": done after") == 2
    assert {path.name for path in tmp_path.iterdir()} == {"tests.xml", "stream.json", "stream.png"}
    (run,) = json.loads((tmp_path / "stream.json").read_text())["rates"]
    assert (run["side_px"], run["rate_hz"], run["missing"]) == (24, 100.0, 0)


@pytest.mark.skipif(
    torch.cuda.is_available() or torch.backends.mps.is_available(), reason="this machine has a GPU, and would use it"
)
def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert runpy.run_path(str(ROOT / "tools" / "gpu.py"))["main"]() == 2
    assert "no CUDA or MPS device on this machine, so nothing was tested or measured" in capsys.readouterr().err
