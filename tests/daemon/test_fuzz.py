"""Twenty thousand mutated messages into every socket of a live daemon; a million with tools/fuzz.py by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_process import posix

TOOL = Path(__file__).parents[2] / "tools" / "fuzz.py"


@posix
@pytest.mark.timeout(300)
def test_nothing_that_is_sent_harms_the_daemon():
    line = [sys.executable, TOOL, "--messages", "20000"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    [frames] = re.findall(r"^sent=(\d+) received=(\d+) missing=(\d+)", done.stdout, re.MULTILINE)
    sent, received, missing = map(int, frames)
    assert sent == received + missing
    assert received > 500
    assert "the header is not msgpack" in done.stdout
