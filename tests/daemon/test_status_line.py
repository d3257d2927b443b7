"""The line that lives on a terminal while a daemon runs."""

import io
import threading
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import daemon.service
from daemon.cli import cli
from daemon.protocol.messages import FrameCounts, Status, WindowCounts
from daemon.watch.status_line import StatusLine, status_text

RUNNING = Status(
    run="a-run",
    version="0.1.0",
    state="running",
    source="simulate:",
    rate_hz=49.94,
    frames=FrameCounts(sent=503, received=503),
    windows=WindowCounts(complete=5, published=4, skipped=1),
    metrics={"latency_ms": 830.0},
)


class Terminal(io.StringIO):
    """Text that a terminal of one line shows, with the lines above it."""

    def __init__(self, is_terminal=True):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal

    @property
    def screen(self):
        lines = [[]]
        column = 0
        for letter in self.getvalue():
            if letter == "\n":
                lines.append([])
            column = 0 if letter in "\r\n" else column + 1
            if letter not in "\r\n":
                lines[-1][column - 1 :] = [letter, *lines[-1][column:]]
        return ["".join(line).rstrip() for line in lines]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def test_a_status_is_one_line_with_its_account_and_its_warnings():
    text = status_text(RUNNING)
    assert (
        text
        == "running | 49.9 /s | sent 503 = received 503 + missing 0 | 4 pictures, 1 skipped | latency 830 ms | "
        + ("warning 1 of 5 windows have no picture: the computer cannot keep up with the camera.")
    )
    assert "lost 7" in status_text(
        RUNNING.model_copy(update={"frames": FrameCounts(sent=9, received=9, lost_at_source=7)})
    )


def test_the_log_stands_above_the_line_which_is_cut_at_the_terminals_width(monkeypatch):
    line = StatusLine(terminal := Terminal())
    line.show("sent 1")
    line.write("an event\n")
    assert terminal.screen == ["an event", "sent 1"]
    monkeypatch.setenv("COLUMNS", "10")
    line.show("sent 1000000")
    assert terminal.screen == ["an event", "sent 100…"]
    line.show("")
    line.write("another\n")
    assert terminal.screen == ["an event", "another", ""]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_run_keeps_the_line_alive_on_a_terminal_alone_and_removes_it(is_terminal, monkeypatch, tmp_path):
    terminal, asked = Terminal(is_terminal), threading.Event()

    def status():
        asked.set()
        return RUNNING

    class Service:
        abandoned, health = False, SimpleNamespace(status=status)

        def __init__(self, _config):
            pass

        def run(self, started):
            started()
            assert not is_terminal or asked.wait(5)
            return RUNNING

    monkeypatch.setattr(daemon.service, "Service", Service)
    for name, stand_in in (("check_can_run", lambda _: None), ("lower_priority", lambda: None)):
        monkeypatch.setattr(f"daemon.cli.{name}", stand_in)
    monkeypatch.setattr("daemon.watch.status_line.StatusLine", lambda _: StatusLine(terminal))
    result = CliRunner().invoke(cli, ["run", "simulate"], catch_exceptions=False)
    assert result.exit_code == 0
    assert ("sent 503 = received 503" in terminal.getvalue()) is is_terminal
    assert terminal.screen == [""]
