"""State of the terminal monitor: a frozen account. No socket, no screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from daemon.protocol.codec import Received
from daemon.protocol.findings import SILENT_AFTER_S
from daemon.protocol.losses import LossTimes, note_losses
from daemon.protocol.messages import Event, MetricDescriptions, PictureHeader, Status
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.registry import METRICS

SPAN_S = 180.0
MAX_SAMPLES = 1_000  # of a daemon gone mad; a sane one gives two a second
KEPT_EVENTS = 50

Samples = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """Messages of one daemon so far.

    Args:
        endpoint: Its results address.
        heard_s: Time of the last message, by the monitor's clock.
        picture: Header of the newest refined picture.
        losses: When frames and windows were last lost, by the monitor's clock.
        metrics: What the daemon says of its metrics.
        rates: (time, frames per second) of the last SPAN_S seconds.
        history: (time, value) of each metric, by key, of the last SPAN_S seconds.
        unreadable: Messages that could not be used; unreadable_text: why the last one could not.
        shut_out: Why the daemon does not admit this monitor.
    """

    endpoint: str
    run: str = ""
    heard_s: float | None = None
    status: Status | None = None
    picture: PictureHeader | None = None
    events: tuple[Event, ...] = ()
    losses: LossTimes = field(default_factory=LossTimes)
    metrics: MetricTable[MetricDescription] = field(default_factory=lambda: MetricTable(METRICS))
    rates: Samples = ()
    history: Mapping[str, Samples] = field(default_factory=dict)
    unreadable: int = 0
    unreadable_text: str = ""
    shut_out: str = ""


def take(account: Account, received: Received, now: float) -> Account:
    """Update the account by one decoded message."""
    message = received.message
    account = _meet_run(replace(account, heard_s=now), getattr(message, "run", account.run))
    match message:
        case Status():
            return replace(
                account,
                status=message,
                losses=note_losses(account.losses, account.status, message, now),
                rates=_with(account.rates, message.rate_hz, now),
            )
        case MetricDescriptions():
            return replace(account, metrics=MetricTable(message.metrics))
        case PictureHeader():
            return _take_picture(account, message, now)
        case Event():
            return _take_event(account, message)
    return account


def take_unreadable(account: Account, why: str) -> Account:
    """Count a message that could not be used."""
    return replace(account, unreadable=account.unreadable + 1, unreadable_text=why)


def silence_s(account: Account, now: float) -> float | None:
    """Measure a silence that is too long; 0.0 if not, None if not yet heard."""
    if account.heard_s is None:
        return None
    quiet_s = now - account.heard_s
    return quiet_s if quiet_s > SILENT_AFTER_S else 0.0


def cells(samples: Samples, now: float, count: int, span_s: float = SPAN_S) -> tuple[float | None, ...]:
    """Average samples in `count` equal steps of the last span_s seconds."""
    sums, known = [0.0] * count, [0] * count
    for at_s, value in samples:
        place = count - 1 - int((now - at_s) / span_s * count)
        if 0 <= place < count:
            sums[place] += value
            known[place] += 1
    return tuple(total / n if n else None for total, n in zip(sums, known, strict=True))


def _meet_run(account: Account, run: str) -> Account:
    """Forget status and picture of another run; events and samples stay."""
    return account if run == account.run else replace(account, run=run, status=None, picture=None, losses=LossTimes())


def _take_picture(account: Account, header: PictureHeader, now: float) -> Account:
    if account.picture is not None and header.window <= account.picture.window:
        return account  # the daemon sends its last results again whenever a reader connects
    history = dict(account.history)
    for key, value in header.metrics.items():
        history[key] = _with(history.get(key, ()), value, now)
    return replace(account, picture=header, history=history)


def _take_event(account: Account, event: Event) -> Account:
    if any((event.run, event.number) == (known.run, known.number) for known in account.events):
        return account
    return replace(account, events=(*account.events, event)[-KEPT_EVENTS:])


def _with(samples: Samples, value: float, now: float) -> Samples:
    return (*(one for one in samples if now - one[0] < SPAN_S), (now, value))[-MAX_SAMPLES:]
