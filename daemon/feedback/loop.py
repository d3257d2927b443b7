"""Feedback loop: the daemon's pictures in, the laser's power out.

    daemon --status, newest picture's header--> loop --orders--> laser process --> Micro-Manager
      ^                                          |
      `------------- a mark per change ----------'

It is a client of the daemon, which knows nothing of it: the daemon only looks, as ever. What holds while it runs:

    a window counts when all its frames came after the last change
    no frames, paused, another quality level    the laser is at its safe value, or stays as it is; it goes on afterwards
    no daemon, no viewer, laser fails           the laser is at its safe value, and the loop ends with the reason
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from daemon.control.client import ControlClient
from daemon.feedback.density_control import Decision, Measurement, Response, decide
from daemon.feedback.settings import FeedbackSettings
from daemon.protocol.messages import PictureHeader, Status, View
from selfstorm.errors import InputError
from selfstorm.frames import MAX_SIDE_PX

POLL_S = 0.2
ANSWER_MS = 1200  # of the daemon; the laser's process waits somewhat longer for its orders
GOING_ON = ("starting", "waiting", "running")  # states of a daemon that makes pictures, or will


class Switch(Protocol):
    """Laser that takes orders."""

    def order(self, value: float) -> None:
        """Set the laser, or keep it where it is. Raises InputError."""


@dataclass(frozen=True, slots=True)
class Observation:
    """State of the daemon at one moment.

    Attributes:
        status: its account.
        picture: header of the newest refined picture, if it is new.
    """

    status: Status
    picture: PictureHeader | None = None


class FeedbackLoop:
    """Holds the density of emitters.

    Args:
        settings: aim, laser and limits.
        client: connection to the daemon's control.
        switch: the laser; None for a dry run, which only says what it would do.
        tell: takes a line for the user.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        client: ControlClient,
        switch: Switch | None,
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._client, self._switch, self._tell = settings, client, switch, tell
        self._value, self._changed_s = settings.first(), time.monotonic()
        self._response: Response | None = None
        self._picture: tuple[str, int] | None = None
        self._on, self._remark = False, ""

    def run(self, stop: threading.Event) -> None:
        """Run until stopped.

        Raises:
            InputError: the daemon, its last viewer, or the laser was lost.
        """
        self._mark(f"feedback {'armed' if self._switch else 'as a dry run'}: {self._aim()}")
        try:
            while not stop.is_set():
                self._step()
                stop.wait(POLL_S)
        except InputError as error:
            with suppress(InputError):  # the daemon may be what was lost
                self._mark(f"feedback ends: {error.what}")
            raise
        self._mark("feedback ends: stopped")

    def _step(self) -> None:
        seen = self._look()
        self._check(seen.status)
        self._power(seen.status)
        if seen.picture is not None and self._on and self._is_of_now(seen.picture, seen.status.rate_hz):
            self._follow(seen.picture)

    def _look(self) -> Observation:
        status = Status.model_validate(self._client.ask("status"))
        if not status.windows.published:
            return Observation(status)
        zoom = MAX_SIDE_PX  # the header is wanted, not the pixels: all of them are averaged into one
        view = self._client.ask_view(kind="sr.refined", zoom=zoom, unless=self._picture)
        if view is None or not isinstance(view.message, View):
            return Observation(status)
        picture = view.message.picture
        self._picture = "sr.refined", picture.published_unix_ns
        return Observation(status, picture)

    def _check(self, status: Status) -> None:
        if status.state not in GOING_ON:
            raise InputError(f"the daemon is {status.state}")
        if self._settings.viewer and status.viewers == 0:
            raise InputError("no viewer receives the pictures", hint="open a viewer, or set viewer = false")

    def _power(self, status: Status) -> None:
        """Renew the order: the present value while frames come, else the safe one."""
        on = status.state == "running" and not status.paused and status.rate_hz > 0
        if on != self._on:
            self._on, self._changed_s = on, time.monotonic()
            self._mark(f"{self._name()} = {self._value if on else self._settings.safe:.4g}: frames {_come(on)}")
        if self._switch is not None:
            self._switch.order(self._value if on else self._settings.safe)

    def _is_of_now(self, picture: PictureHeader, rate_hz: float) -> bool:
        """Return whether all frames of a picture were taken at the present value."""
        age_s = picture.metrics.get("latency_ms", 0.0) / 1e3 + POLL_S
        age_s += (picture.last_seq - picture.first_seq + 1) / rate_hz
        return time.monotonic() - age_s > self._changed_s + self._settings.settle_s

    def _follow(self, picture: PictureHeader) -> None:
        count = picture.metrics.get("emitters_per_frame")
        if count is None:
            self._once(f"the laser stays at {self._value:.4g}", f"emitters are not counted at '{picture.effort}'")
            return
        measured = Measurement(count, picture.metrics.get("crowding"))
        decision = decide(self._settings, self._value, measured, self._response)
        self._response = decision.response
        if decision.value != self._value:
            self._change(decision)
        elif decision.limit:
            self._once(f"the laser is at its {decision.limit}", decision.why)
        else:
            self._remark = ""

    def _change(self, decision: Decision) -> None:
        before, self._changed_s = self._value, time.monotonic()
        if self._switch is not None:  # in a dry run the laser stays, so what follows is judged from where it is
            self._value = decision.value
        self._mark(f"{self._name()} = {decision.value:.4g} (was {before:.4g}): {decision.why}")

    def _once(self, remark: str, why: str) -> None:
        """Mark a remark unless it was the last, whatever the reason."""
        if remark != self._remark:
            self._mark(f"{remark}: {why}")
        self._remark = remark

    def _mark(self, text: str) -> None:
        """Tell the user, the viewers and the run's manifest."""
        text = text if self._switch is not None or text.startswith("feedback") else f"dry run: {text}"
        self._tell(text)
        self._client.ask("mark", text=text[:200])

    def _name(self) -> str:
        return f"{self._settings.device}-{self._settings.property}"

    def _aim(self) -> str:
        chosen = self._settings
        limits = f"{self._name()} from {chosen.minimum:g} to {chosen.maximum:g}, safe at {chosen.safe:g}"
        return f"{chosen.emitters_per_frame:g} emitters a frame by {limits}"


def _come(on: bool) -> str:
    return "come" if on else "do not come, or it is paused"
