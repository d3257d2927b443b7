"""Playhead: the window on screen, the newest or an earlier one. Pure.

following --step, seek--> held --play--> playing --the end--> following (or from the start again: loop)
     ^---------------------follow------------------'
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from client.picture.pictures import PicturePair
from client.timeline.history import History

PLAY_HZ = 5.0


@dataclass(frozen=True, slots=True)
class TimeMark:
    """A moment marked by the user.

    It has its number in the history, its window and its time of publication.
    """

    number: int
    run: str
    window: int
    unix_ns: int


@dataclass(frozen=True, slots=True)
class Playhead:
    """Position in time.

    Attributes:
        at: Number of the window on screen, None while the newest is followed.
        held: Its pair, which stays on screen after the history has dropped it.
        playing, loop: Whether windows are played, and again from the start at the end.
        due_s: Time at which the next window is shown while playing.
        marks: Marked moments.
    """

    at: int | None = None
    held: PicturePair | None = None
    playing: bool = False
    loop: bool = False
    due_s: float = 0.0
    marks: tuple[TimeMark, ...] = ()


def displayed_pair(playhead: Playhead, history: History) -> PicturePair | None:
    """Return the pair to show.

    A held preview gives way to its refined picture.
    """
    if playhead.at is None:
        return history.newest
    return history.get(playhead.at) or playhead.held


def position(playhead: Playhead, history: History) -> int:
    """Return the number of the window on screen; -1 without any."""
    return history.last if playhead.at is None else playhead.at


def follow(playhead: Playhead) -> Playhead:
    """Follow the newest window."""
    return replace(playhead, at=None, held=None, playing=False)


def seek(playhead: Playhead, history: History, number: int) -> Playhead:
    """Hold the window of that number, or the nearest one in memory."""
    if not history.pairs:
        return playhead
    number = min(max(number, history.first), history.last)
    return replace(playhead, at=number, held=history.get(number), playing=False)


def step(playhead: Playhead, history: History, windows: int) -> Playhead:
    """Hold the window that many further on; back where negative."""
    return seek(playhead, history, position(playhead, history) + windows)


def play(playhead: Playhead, history: History, now: float) -> Playhead:
    """Play from the held window on; from the oldest where the newest is shown."""
    if not history.pairs:
        return playhead
    start = position(playhead, history)
    start = history.first if start >= history.last else start
    return replace(seek(playhead, history, start), playing=True, due_s=now + 1 / PLAY_HZ)


def pause(playhead: Playhead, history: History) -> Playhead:
    """Hold the window on screen."""
    return seek(playhead, history, position(playhead, history))


def advance(playhead: Playhead, history: History, now: float) -> Playhead:
    """Advance a playing playhead by one window once it is due."""
    if not playhead.playing or playhead.at is None or now < playhead.due_s:
        return playhead
    following = playhead.at + 1
    if following > history.last:
        if not playhead.loop:
            return follow(playhead)
        following = history.first
    return replace(seek(playhead, history, following), playing=True, due_s=now + 1 / PLAY_HZ)


def set_loop(playhead: Playhead, loop: bool) -> Playhead:
    """Switch playing in a loop on or off."""
    return replace(playhead, loop=loop)


def mark(playhead: Playhead, history: History) -> Playhead:
    """Mark the window on screen, or remove its mark."""
    pair, number = displayed_pair(playhead, history), position(playhead, history)
    if pair is None:
        return playhead
    others = tuple(one for one in playhead.marks if one.number != number)
    if len(others) < len(playhead.marks):
        return replace(playhead, marks=others)
    added = TimeMark(number, *pair.window, pair.sr.header.published_unix_ns)
    marks = sorted((*others, added), key=lambda one: one.number)
    return replace(playhead, marks=tuple(marks))


def to_mark(playhead: Playhead, history: History, direction: int) -> Playhead:
    """Hold the nearest marked window after (+1) or before (-1) this one.

    The playhead stays where there is none.
    """
    here = position(playhead, history)
    kept = [one.number for one in playhead.marks if history.first <= one.number <= history.last]
    ahead = [number for number in kept if (number - here) * direction > 0]
    return seek(playhead, history, min(ahead, key=lambda number: abs(number - here))) if ahead else playhead
