"""The commit-message check accepts what CONTRIBUTING asks for and names what is wrong with anything else."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "check_commit_message.py"


def check(tmp_path, message):
    path = tmp_path / "COMMIT_EDITMSG"
    path.write_text(message, encoding="utf-8")
    return subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "message",
    ["sources: count popped images\n\nWhy: they were in no account.\n", "io, daemon: keep .part files\n# comment\n"],
)
def test_good_messages_pass(tmp_path, message):
    done = check(tmp_path, message)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Fix the tail\n", "does not read 'area: imperative'"),
        ("sources: " + "x" * 70 + "\n", "at most 72 fit"),
        ("sources: mend the tail\nand more\n", "second line is not blank"),
        ("", "does not read 'area: imperative'"),
    ],
)
def test_bad_messages_say_why(tmp_path, message, fault):
    done = check(tmp_path, message)
    assert done.returncode == 1
    assert fault in done.stderr
