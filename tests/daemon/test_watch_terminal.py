"""The terminal monitor: what it knows, what it draws, and the command on a real daemon."""

import io
import os
import re
import signal
import subprocess
import threading
import time

from daemon_process import DAEMON, DEADLINE_S, Daemon, free_ports, posix, simulated, wait_until, within
from rich.console import Console

from daemon.protocol.codec import Received
from daemon.protocol.findings import SILENT_AFTER_S
from daemon.protocol.messages import Event, FrameCounts, PictureHeader, Status, WindowCounts
from daemon.watch.account import MAX_SAMPLES, SPAN_S, Account, cells, silence_s, take, take_unreadable
from daemon.watch.panel import WatchView, plain_line

EMPTY = Account("tcp://127.0.0.1:5711")


def said(run="first", **other):
    given = {
        "state": "running",
        "version": "0",
        "source": "simulate:",
        "frames": FrameCounts(sent=503, received=500, missing=3, used=498, rejected=2, lost_at_source=7),
        "windows": WindowCounts(complete=5, published=4, skipped=1),
        "rate_hz": 50.0,
        "metrics": {"latency_ms": 80.0},
    }
    return Received("status", Status(run=run, **(given | other)))


def picture(window=0, run="first", **other):
    given = {"stream": "s", "shape": (4, 4), "first_seq": 0, "last_seq": 9, "frames": 10, "published_unix_ns": 1}
    return Received("sr.refined", PictureHeader(run=run, window=window, **(given | other)))


def happened(number=0, text="3 frames were lost", level="warning"):
    return Received("event", Event(run="first", number=number, unix_ns=1, level=level, code="missing", text=text))


def after(*messages, account=EMPTY, now=0.0):
    for one in messages:
        account = take(account, one, now)
    return account


def drawn(account, now=0.0, encoding="utf-8"):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=110, force_terminal=False).print(WatchView(account, now))
    out.seek(0)
    return out.read()


def test_a_panel_says_all_there_is_to_know():
    account = after(
        said(effort="full", model_state="warm"),
        picture(metrics={"latency_ms": 80.0, "misfit": 0.02, "resolution_nm": 47.2, "agreement": 0.987}),
    )
    text = drawn(after(happened(), account=account))
    for part in (
        "sent 503 = received 500 + missing 3",
        "at the source 7, in transit 3, in the daemon 2",
        "complete 5: published 4, skipped 1, failed 0",
        "50 /s",
        "80 ms",
        "2.0 %",
        "full; model warm",
        "47 nm",
        "0.987",
        "Missing: 10 of 510 frames never arrived (3 in transit",
        "WARNING  3 frames were lost  [missing]",
    ):
        assert part in text


def test_what_is_not_known_is_not_shown():
    assert "waiting for a daemon" in drawn(EMPTY)
    text = drawn(after(said()))
    assert "latency" not in text
    assert "resolution" not in text


def test_a_daemon_is_silent_after_three_seconds_and_picked_up_again():
    account = after(said())
    assert silence_s(account, SILENT_AFTER_S) == 0.0
    assert "SILENT for 4 s" in drawn(account, 4.0)
    assert "SILENT for 4 s" in plain_line(account, 4.0)
    again = after(said(run="second"), account=account, now=5.0)
    assert "SILENT" not in drawn(again, 5.0)


def test_another_run_brings_its_own_account_and_keeps_what_was_seen():
    account = after(said(), picture(7), happened())
    account = after(picture(0, run="second"), account=account, now=1.0)
    assert (account.status, account.picture.window, len(account.events)) == (None, 0, 1)
    assert len(account.rates) == 1


def test_what_is_sent_again_for_another_listener_counts_once():
    account = after(
        picture(3, metrics={"misfit": 0.1}),
        picture(3, metrics={"misfit": 0.1}),
        picture(2, metrics={"misfit": 0.9}),
        happened(),
        happened(),
    )
    assert ([value for _, value in account.history["misfit"]], len(account.events)) == ([0.1], 1)


def test_samples_are_those_of_the_last_minutes_and_bounded():
    account = EMPTY
    for second in range(400):
        account = after(said(rate_hz=float(second)), account=account, now=float(second))
    assert len(account.rates) == SPAN_S
    assert cells(account.rates, 399.0, 3) == (249.5, 309.5, 369.5)
    for _ in range(MAX_SAMPLES + 5):
        account = after(said(), account=account, now=399.0)
    assert len(account.rates) == MAX_SAMPLES


def test_cells_without_samples_are_empty_and_bars_stand_on_zero():
    assert cells(((0.0, 5.0),), 90.0, 4) == (None, 5.0, None, None)
    account = after(said(rate_hz=100.0), account=after(said(rate_hz=50.0)), now=90.0)
    assert "▅" + " " * 14 + "█" in drawn(account, 90.0)


def test_a_terminal_without_such_letters_gets_others():
    text = drawn(after(said()), encoding="ascii")
    assert "#" in text
    assert "Self-STORM" in text


def test_what_comes_over_the_wire_is_no_command_to_the_terminal():
    account = after(happened(text="[bold]a\x1b[2Jb\nc"), said(detail="\x9b2J", state="waiting"))
    text = drawn(account)
    assert "[bold]a [2Jb c" in text
    assert not {"\x1b", "\x9b"} & set(text)


def test_unreadable_messages_are_counted_with_their_reason():
    assert "1 messages: protocol 2.0" in drawn(take_unreadable(EMPTY, "protocol 2.0"))


def monitor(*arguments, **streams):
    command = [*DAEMON, "watch", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **streams)


def test_without_a_daemon_once_fails_and_a_wrong_address_is_one_line(capfd):
    (port,) = free_ports(1)
    nobody = within([*DAEMON, "watch", "--once", "--daemon", f"127.0.0.1:{port}"], capfd)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "no daemon at" in nobody.stderr
    wrong = within([*DAEMON, "watch", "--once", "--daemon", "no sense"], capfd)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


class Lines:
    """What a process prints, line by line, as it comes."""

    def __init__(self, process):
        self.all = []
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self.all.append(line)

    def said(self, pattern, after=0):
        def came():
            return any(re.search(pattern, line) for line in self.all[after:])

        wait_until(came)
        return len(self.all)


def test_a_daemon_is_watched_in_lines_lost_and_found_again(tmp_path):
    daemon = Daemon(tmp_path, simulated())
    with monitor("--daemon", daemon.address, stdout=subprocess.PIPE) as watching:
        lines = Lines(watching)
        try:
            lines.said("waiting for a daemon")
            with daemon:
                lines.said(r"running \| [1-9]")  # frames a second
                with monitor("--once", "--daemon", daemon.address, stdout=subprocess.PIPE) as once:
                    out, _ = once.communicate(timeout=DEADLINE_S)
                assert once.returncode == 0
                assert "simulate:" in out
            seen = lines.said("SILENT")
            with daemon:
                lines.said(r"running \| ", seen)
            watching.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
            assert watching.wait(DEADLINE_S) == 0 or os.name != "posix"
        finally:
            watching.kill()


@posix
def test_in_a_terminal_a_panel_is_drawn_until_ctrl_c(tmp_path):
    import pty

    inner, outer = pty.openpty()
    with Daemon(tmp_path, simulated()) as daemon, monitor("--daemon", daemon.address, stdout=outer) as one:
        os.close(outer)
        seen = ""
        deadline_s = time.monotonic() + DEADLINE_S
        while "published" not in seen:
            assert time.monotonic() < deadline_s, seen
            seen += os.read(inner, 65_536).decode(errors="replace")
        one.send_signal(signal.SIGINT)
        code, err = one.wait(DEADLINE_S), one.stderr.read()
    os.close(inner)
    assert (code, err) == (0, "")
    assert "Self-STORM live" in seen
