"""Panel of the account for a terminal, or one plain line for a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from daemon.protocol.findings import metric_findings, quality, run_findings
from daemon.protocol.messages import Event, Status
from daemon.watch.account import SPAN_S, Account, Samples, cells, silence_s
from selfstorm.metrics.finding import Finding, Level

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-~+=*#"
SPARK_CELLS = 30
VALUE_WIDTH = 11
SHOWN_EVENTS = 8
STYLES = {"info": "dim", "warning": "yellow", "error": "bold red"}
FINDING_STYLES: dict[Level, str] = {"warning": "yellow", "bad": "bold red"}
FINDING_NAMES: dict[Level, str] = {"warning": "warning", "bad": "BAD"}
STATE_STYLES = {"running": "bold green", "failed": "bold red"}
START = "start one with 'selfstorm-daemon run CONFIG.toml'"

Row = tuple[str, Text]


class WatchView:
    """An account at the time `now`; in ASCII where the console needs it."""

    def __init__(self, account: Account, now: float) -> None:
        self._account, self._now = account, now

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, text in rows(self._account, self._now, ASCII_BARS if options.ascii_only else BARS):
            grid.add_row(name, text)
        yield Panel(grid, title=f"Self-STORM live  {printable(self._account.endpoint)}", title_align="left")


def rows(account: Account, now: float, bars: str) -> Iterator[Row]:
    """Make the rows: name and text."""
    yield "state", state_text(account, now)
    if account.unreadable:
        yield "unread", Text(f"{account.unreadable} messages: {printable(account.unreadable_text)}", "yellow")
    if (status := account.status) is not None:
        yield from _counters(status)
    if account.rates:
        yield "rate", _spark(account.rates, now, lambda value: f"{_figure(value)} /s", bars)
    for metric in account.metrics:
        if samples := account.history.get(metric.key):
            yield metric.label.lower(), _spark(samples, now, metric.text, bars)
    for finding in findings(account, now):
        if finding.serious:
            yield FINDING_NAMES[finding.level], Text(_finding_line(finding), FINDING_STYLES[finding.level])
    yield from _picture(account)
    for event in account.events[-SHOWN_EVENTS:]:
        yield "event", Text(event_line(event), STYLES[event.level])


def state_text(account: Account, now: float) -> Text:
    """Describe the daemon's state."""
    quiet_s, status = silence_s(account, now), account.status
    if account.shut_out:
        return Text(f"REFUSED: {printable(account.shut_out)}", "bold red")
    if quiet_s is None:
        return Text(f"waiting for a daemon; {START}", "yellow")
    if quiet_s:
        return Text(
            f"SILENT for {quiet_s:.0f} s; these values are old. Waiting for the daemon to come back", "bold red"
        )
    if status is None:
        return Text("connected", "green")
    detail = f": {printable(status.detail)}" if status.detail else ""
    paused = ", paused" if status.paused else ""
    return Text(f"{status.state}{paused}{detail}", STATE_STYLES.get(status.state, "yellow"))


def _counters(status: Status) -> Iterator[Row]:
    frames = status.frames
    restarts = f", restarted {status.source_restarts} times" if status.source_restarts else ""
    yield "source", Text(f"{printable(status.source) or '-'} ({status.source_state or 'not started'}{restarts})")
    yield "frames", Text(f"sent {frames.sent} = received {frames.received} + missing {frames.missing}")
    lost = frames.lost_at_source + frames.missing + frames.rejected + frames.estimated_lost_in_outages
    yield "lost", Text(losses(status), "yellow" if lost else "")
    yield "windows", Text(_windows(status), "yellow" if status.windows.failed else "")
    yield "level", Text(f"{printable(status.effort) or '-'}; model {printable(status.model_state) or '-'}")
    if status.device:
        yield "device", Text(printable(status.device))
    if status.recording:
        recorded = f"{status.recorded_frames} frames, {status.recording_missing} missing"
        yield (
            "recorded",
            Text(f"{recorded}: {printable(status.recording)}", "yellow" if status.recording_missing else ""),
        )


def losses(status: Status) -> str:
    """Count lost frames by the place where they were lost."""
    frames = status.frames
    places = f"at the source {frames.lost_at_source}, in transit {frames.missing}, in the daemon {frames.rejected}"
    outages = frames.estimated_lost_in_outages
    return f"{places}; about {outages} in outages" if outages else places


def _windows(status: Status) -> str:
    windows = status.windows
    paused = f" ({windows.skipped_while_paused} while paused)" if windows.skipped_while_paused else ""
    fates = f"published {windows.published}, skipped {windows.skipped}{paused}, failed {windows.failed}"
    return f"complete {windows.complete}: {fates}"


def _picture(account: Account) -> Iterator[Row]:
    if (header := account.picture) is None:
        return
    for note in header.notes:
        yield "caution", Text(printable(note), "yellow")


def findings(account: Account, now: float) -> tuple[Finding, ...]:
    """Judge the run, the quality of the newest picture, and its metrics."""
    if account.status is None:
        return ()
    found = run_findings(account.status, None, account.losses, now)
    if account.picture is None:
        return found
    return (*found, quality(account.picture), *metric_findings(account.metrics, account.picture))


def _finding_line(finding: Finding) -> str:
    return printable(f"{finding.name}: {finding.explanation}")


def _spark(samples: Samples, now: float, text: Callable[[float], str], bars: str) -> Text:
    """Draw the newest value, its course, and the value of the highest bar."""
    drawn = cells(samples, now, SPARK_CELLS)
    top = max((value for value in drawn if value is not None), default=0.0)
    line = "".join(" " if value is None else bars[_level(value, top, len(bars))] for value in drawn)
    value = printable(text(samples[-1][1])).ljust(VALUE_WIDTH)
    return Text.assemble(value, (line, "cyan"), (f"  {SPAN_S / 60:.0f} min, max {printable(text(top))}", "dim"))


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _level(value: float, top: float, levels: int) -> int:
    return min(max(int(value / top * levels), 0), levels - 1) if top > 0 else 0


def event_line(event: Event) -> str:
    """Write an event: '12:10:20  WARNING  3 frames are missing  [code]'."""
    clock = f"{datetime.fromtimestamp(event.unix_ns / 1e9):%H:%M:%S}"
    return f"{clock}  {event.level.upper()}  {printable(event.text)}  [{printable(event.code)}]"


def plain_line(account: Account, now: float) -> str:
    """Write the account on one line, for a log."""
    status, header = account.status, account.picture
    state = state_text(account, now).plain
    if status is None or silence_s(account, now):
        return state
    frames = status.frames
    parts = [
        state,
        f"{status.rate_hz:.1f} /s",
        f"sent {frames.sent} = received {frames.received} + missing {frames.missing}",
        f"lost {losses(status)}",
        f"windows {_windows(status)}",
        "" if header is None else f"quality {header.grade}",
        "" if header is None else printable(account.metrics.line(header.metrics)),
        f"model {printable(status.model_state)}" if status.model_state else "",
        *(f"{FINDING_NAMES[one.level]} {_finding_line(one)}" for one in findings(account, now) if one.serious),
    ]
    return " | ".join(part for part in parts if part)


def printable(text: str) -> str:
    """Put text from the wire on one line, without terminal control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
