"""Pages of the documentation: what they tell the user to type runs as it stands, or is marked with the reason."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from client import mcp_server
from client.cli import viewer
from daemon.cli import cli as daemon_cli
from daemon.config import Config
from daemon.feedback.settings import FeedbackSettings
from daemon.protocol.address import VARIABLE
from daemon.run_target import configuration
from selfstorm.cli import cli as selfstorm_cli

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import Daemon, simulated

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "selfstorm": selfstorm_cli,
    "selfstorm-daemon": daemon_cli,
    "selfstorm-viewer": viewer,
    "selfstorm-mcp": mcp_server.serve,
}
FENCE = re.compile(r"(?:<!-- not run: ([^>]+) -->\s*)?^( *)```(\w*)\n(.*?)^ *```", re.M | re.S)
TYPED = re.compile(r"^[ $>%]*(selfstorm(-\w+)?|python|pip|uv|uvx|pyinstaller) \S", re.M)
INDENTED = re.compile(r"^(?: {4}|\t)[ $>%]*(selfstorm(-\w+)?|python|pip|uv|uvx|pyinstaller) \S.*", re.M)
RUN = ("sh", "python")  # languages of the blocks that are run
QUOTE = re.compile(r"`((?:selfstorm|selfstorm-daemon|selfstorm-viewer|selfstorm-mcp) [^`\n]+)`")
TAKES_PROCESSES = ("batch",)  # of its own, which need a main program to start again


@dataclass(frozen=True)
class Block:
    """Text between two fences of a page."""

    page: str
    line: int
    language: str
    text: str
    reason: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks_of(path):
    page, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        reason, indent, language, inside = found.groups()
        lines = "".join(line.removeprefix(indent) for line in inside.splitlines(keepends=True))
        yield Block(page, text[: found.start(2)].count("\n") + 1, language, lines, reason or "")


PATHS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCKS = [block for path in PATHS for block in blocks_of(path)]
TYPED_BLOCKS = list({one.text: one for one in BLOCKS if one.language in RUN}.values())
LIVE = ("docs/tutorials/python.md", "docs/how-to/control.md")  # they address a running daemon; the second ends it
QUOTED = sorted(
    {
        command
        for path in PATHS
        if "decisions" not in path.parts
        for command in re.findall(
            r"`((?:selfstorm|selfstorm-daemon|selfstorm-viewer|selfstorm-mcp) [^`\n]+)`",
            path.read_text(encoding="utf-8"),
        )
    }
)


def commands(block):
    """Its command lines as words, without comments and the backslashes of long lines."""
    text = block.text.replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True, posix=True))]


def addresses_a_daemon(block):
    return block.page == LIVE[1] or "Daemon(" in block.text


def run_block(block):
    """Run what is typed, in the current folder."""
    if block.language == "python":
        exec(compile(block.text, str(block), "exec"), {})  # noqa: S102
        return
    for program, *words in commands(block):
        if words[0] in TAKES_PROCESSES:
            main = f"from {'daemon' if 'daemon' in program else 'selfstorm'}.cli import main; main()"
            done = subprocess.run([sys.executable, "-c", main, *words], capture_output=True, text=True, timeout=100)
            assert done.returncode == 0, done.stderr
        else:
            result = CliRunner().invoke(COMMANDS[program], words)
            assert result.exit_code == 0, f"{program} {shlex.join(words)}: {result.output}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The current folder, with a small movie of blinking spots, alone and in a folder of recordings."""
    monkeypatch.chdir(tmp_path)
    light, rng = np.full((20, 8, 8), 100.0), np.random.default_rng(1)
    for y, x in ((2, 2), (3, 5), (6, 4)):
        light[rng.random(20) < 0.4, y - 1 : y + 2, x - 1 : x + 2] += 300
    (tmp_path / "FOLDER").mkdir()
    for path in ("MOVIE.tif", "FOLDER/cell1.tif"):
        tifffile.imwrite(path, rng.poisson(light).astype(np.uint16))
    return tmp_path


def not_run(text):
    """List what a page says to type and no block runs; the help of a command, printed, is not typed."""
    fenced = [inside for _, _, language, inside in FENCE.findall(text) if language not in RUN]
    typed = [one for one in fenced if TYPED.search(one) and not one.startswith("Usage: ")]
    return typed + [one[0] for one in INDENTED.finditer(FENCE.sub("", text))]


@pytest.mark.parametrize(
    "text", ["```bash\n{}\n```\n", "```\n$ {}\n```\n", "- item\n\n    {}\n", "```\n{} # a b\n```\n"]
)
def test_a_command_that_would_not_be_run_is_found(text):
    assert not_run(text.format("selfstorm info OUT.ome.tif"))
    assert not not_run("```sh\nselfstorm info OUT.ome.tif\n```\n")


def test_what_is_typed_is_marked_as_such():
    assert not {path.name: found for path in PATHS if (found := not_run(path.read_text(encoding="utf-8")))}
    assert all(len(one.reason) > len("a reason") for one in BLOCKS if one.reason)


@pytest.mark.parametrize(
    "block", [one for one in TYPED_BLOCKS if not one.reason and not addresses_a_daemon(one)], ids=str
)
def test_a_page_runs_as_it_stands(block, home):
    run_block(block)


def test_pages_about_a_running_daemon_run_as_they_stand(home, monkeypatch):
    """One daemon for all of them, ended by the last command."""
    settings = simulated(rate_hz=30, window=30, stride=30)
    settings["source"]["simulate"] |= {"height": 64, "width": 64}
    with Daemon(home, settings, "--record", home / "raw") as daemon:
        daemon.started().published(1)
        monkeypatch.setenv(VARIABLE, daemon.address)
        live = sorted((one for one in TYPED_BLOCKS if addresses_a_daemon(one)), key=lambda one: LIVE.index(one.page))
        assert {one.page for one in live} == set(LIVE)
        for block in live:
            run_block(block)
        assert daemon.exit_code() == 0


def help_of(program, words):
    """The help of a command line's command; its groups are those words that are no options."""
    command, name = COMMANDS[program], []
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        name.append(words[0])
        words = words[1:]
    text = CliRunner().invoke(COMMANDS[program], [*name, "--help"]).output
    if name == ["batch"]:  # which takes all of its options
        text += CliRunner().invoke(COMMANDS[program], ["reconstruct", "--help"]).output
    return text, words


@pytest.mark.parametrize(
    "words", [words for one in TYPED_BLOCKS if one.language == "sh" for words in commands(one)], ids=shlex.join
)
def test_a_command_exists_with_its_options(words):
    """Also where it is not run."""
    program, *rest = words
    if program not in COMMANDS:
        return
    text, rest = help_of(program, rest)
    assert text.startswith("Usage:")
    assert all(word in text for word in rest if word.startswith("--"))


@pytest.mark.parametrize("command", QUOTED)
def test_a_command_in_a_sentence_exists_with_its_options(command):
    program, *words = shlex.split(command)
    assert program in COMMANDS
    text, rest = help_of(program, words)
    assert text.startswith("Usage:")
    assert all(word in text for word in rest if word.startswith("--"))
    if program == "selfstorm-daemon" and words[:1] == ["run"] and words[1:] and words[1].islower():
        configuration(words[1], {})


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "toml"], ids=str)
def test_a_configuration_is_valid(block):
    given = tomllib.loads(block.text)
    if block.text.startswith("# feedback.toml"):
        FeedbackSettings.model_validate(given)
        return
    Config.model_validate({**given, "source": {"uri": "micromanager:", **given.get("source", {})}})


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "json"], ids=str)
def test_an_agents_configuration_is_json(block):
    (server,) = json.loads(block.text)["mcpServers"].values()
    test_a_command_exists_with_its_options([server["command"], *server["args"]])
