"""The manual quotes the product: every message of its table, and every command at the microscope, is one of it."""

import re
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from daemon_process import free_ports

from daemon.cli import cli
from daemon.config import Config
from daemon.ingest.loss_events import Losses
from daemon.ingest.receiver import FrameReceiver
from daemon.processing.worker import Worker
from daemon.protocol.findings import skipped
from daemon.protocol.losses import LossTimes
from daemon.protocol.messages import WindowCounts
from daemon.sources.camera import Resume
from daemon.sources.kinds import KINDS
from daemon.sources.live_mode import PRESS_LIVE
from daemon.sources.live_sequence import SILENT
from daemon.sources.losses import LossCause
from daemon.sources.micromanager import MicroManager
from daemon.sources.section import SourceSection
from daemon.sources.supervisor import SILENCE_S, CameraSupervisor
from daemon.transport.child_process import ChildProcess
from daemon.transport.client_socket import NO_KEY, REFUSED

ROOT = Path(__file__).parents[2]


def rows(document, heading):
    """The cells of the table with this heading."""
    text = (ROOT / document).read_text(encoding="utf-8")
    [table] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, flags=re.M)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]


def matches(quoted, sentence):
    """Return whether a quotation, in which ... stands for anything, is in a sentence."""
    return re.search(".*?".join(re.escape(part.strip()) for part in quoted.split("...")), sentence)


@pytest.fixture(scope="module")
def printed():
    """Every sentence, made by the part of the product that prints it."""
    health = MagicMock(rate_hz=lambda: 40.0, counts=lambda: (None, WindowCounts(complete=2)))
    Losses(health, "micromanager:").report(3, dict.fromkeys(LossCause, 3))
    receiver = object.__new__(FrameReceiver)
    receiver._health = health
    receiver._report_still(MagicMock(still_s=1.3, detail=KINDS["micromanager"].silent_hint))
    worker = object.__new__(Worker)
    worker._health, worker._sinks, worker._output_lock, worker._closed = health, MagicMock(), threading.Lock(), False
    worker.abandon(1.0)
    supervisor = object.__new__(CameraSupervisor)
    supervisor._source, supervisor._last_words, supervisor._hear = (
        SourceSection(uri="micromanager:"),
        {},
        lambda _: None,
    )
    faults = [supervisor._fault(child_of(code), silence_s=2 * SILENCE_S) for code in (-9, 1, None)]
    [port] = free_ports(1)
    source = MicroManager(SourceSection(uri=f"micromanager:127.0.0.1:{port}"), threading.Event(), Resume())
    waiting = next(source.events()).detail.replace(str(port), "4827")
    windows = SimpleNamespace(complete=100, skipped=20, skipped_while_paused=0, skipped_at_stop=0)
    slow = skipped(SimpleNamespace(windows=windows), LossTimes(), now=0.0).why
    return [waiting, SILENT, slow, NO_KEY, REFUSED, *faults, *(call.args[2] for call in health.event.call_args_list)]


def child_of(exit_code):
    """A camera process that has ended so, or is silent."""
    child = object.__new__(ChildProcess)
    child._process = MagicMock(poll=lambda: exit_code)
    child._listener = MagicMock()
    return child


ROWS = rows("docs/how-to/troubleshooting.md", "message")
QUOTED = [quoted for message, _ in ROWS for quoted in re.findall("`([^`]+)`", message)]


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_message_of_the_manual_is_one_that_the_product_prints(printed, quoted):
    assert any(matches(quoted, sentence) for sentence in printed)


def test_every_cause_of_a_loss_has_a_line_in_the_manual(printed):
    assert len(printed) >= 5 + len(LossCause) + 3
    assert [one for one in printed if "frames" in one and not any(matches(quoted, one) for quoted in QUOTED)] == []


def test_the_steps_of_the_readme_are_commands_of_the_product():
    steps = (ROOT / "README.md").read_text(encoding="utf-8").split("## At the microscope")[1].split("\n## ")[0]
    commands = [line.split() for line in re.findall(r"`selfstorm-daemon ([^`]+)`", steps)]
    assert {command for command, *_ in commands} >= {"run", "check"}
    assert {command for command, *_ in commands} <= set(cli.commands)
    assert {target for command, *targets in commands for target in targets if command == "run"} <= set(KINDS)
    assert all(step in steps for step in ("Run server on port 4827", "press *Live*"))
    assert f"in `{Config().folder}`, where the daemon was started" in steps
    assert PRESS_LIVE.endswith("press Live in Micro-Manager")
