"""What the terminal monitor knows of a daemon: a frozen account, changed by each message. No socket, no screen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.protocol.codec import Received
from daemon.protocol.messages import Event, PictureHeader, Status

SILENT_AFTER_S = 3.0
SPAN_S = 180.0
MAX_SAMPLES = 1_000  # of a daemon gone mad; a sane one gives two a second
KEPT_EVENTS = 50

Samples = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """heard_s: the last message, by the monitor's clock. picture: of the newest refined picture, without its pixels.

    rates, latencies, misfits: (when, value) of the last SPAN_S seconds, in frames a second, ms, and shares of 1.
    unreadable: messages that could not be used, and why the last one could not. shut_out: why we are not let in.
    """

    endpoint: str
    run: str = ""
    heard_s: float | None = None
    status: Status | None = None
    picture: PictureHeader | None = None
    events: tuple[Event, ...] = ()
    rates: Samples = ()
    latencies: Samples = ()
    misfits: Samples = ()
    unreadable: int = 0
    unreadable_text: str = ""
    shut_out: str = ""


def take(account: Account, received: Received, now: float) -> Account:
    """Take in one decoded message."""
    message = received.message
    account = _meet_run(replace(account, heard_s=now), getattr(message, "run", account.run))
    match message:
        case Status():
            latency_ms = message.latency_ms
            return replace(
                account,
                status=message,
                rates=_with(account.rates, message.rate_hz, now),
                latencies=_with(account.latencies, latency_ms, now),
            )
        case PictureHeader():
            return _take_picture(account, message, now)
        case Event():
            return _take_event(account, message)
    return account


def take_unreadable(account: Account, why: str) -> Account:
    """Count a message that could not be used."""
    return replace(account, unreadable=account.unreadable + 1, unreadable_text=why)


def silence_s(account: Account, now: float) -> float | None:
    """Seconds without a message where that is too long; 0.0 when all is well; None before the first."""
    if account.heard_s is None:
        return None
    quiet_s = now - account.heard_s
    return quiet_s if quiet_s > SILENT_AFTER_S else 0.0


def cells(samples: Samples, now: float, count: int, span_s: float = SPAN_S) -> tuple[float | None, ...]:
    """The last span_s seconds in `count` equal steps, oldest first: the mean of each, None where there is nothing."""
    sums, known = [0.0] * count, [0] * count
    for at_s, value in samples:
        place = count - 1 - int((now - at_s) / span_s * count)
        if 0 <= place < count:
            sums[place] += value
            known[place] += 1
    return tuple(total / n if n else None for total, n in zip(sums, known, strict=True))


def _meet_run(account: Account, run: str) -> Account:
    """Another run has its own status and pictures; what went before stays in events and samples."""
    return account if run == account.run else replace(account, run=run, status=None, picture=None)


def _take_picture(account: Account, header: PictureHeader, now: float) -> Account:
    if account.picture is not None and header.window <= account.picture.window:
        return account  # the daemon sends its last results again whenever somebody joins
    return replace(account, picture=header, misfits=_with(account.misfits, header.misfit, now))


def _take_event(account: Account, event: Event) -> Account:
    if any((event.run, event.number) == (known.run, known.number) for known in account.events):
        return account
    return replace(account, events=(*account.events, event)[-KEPT_EVENTS:])


def _with(samples: Samples, value: float | None, now: float) -> Samples:
    if value is None:
        return samples
    return (*(one for one in samples if now - one[0] < SPAN_S), (now, value))[-MAX_SAMPLES:]
