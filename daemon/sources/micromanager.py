"""micromanager:[HOST:PORT], the live mode of a running Micro-Manager.

Images are read through Micro-Manager's bridge and never popped, or its own window would get none. Nothing is cleared,
started or set either, except for an acquisition that the daemon starts itself, by [source.acquisition].

A call that is pending when Micro-Manager dies never returns: this process ends then, and the daemon starts another one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from daemon.sources.acquisition import Acquisition, AcquisitionSection
from daemon.sources.acquisition_watch import AcquisitionWatch
from daemon.sources.camera import TICK_S, CameraFrame, RestartState, Resume, SourceEvent, Waiting
from daemon.sources.core_connection import attach, core_class, detach, hello, is_open, studio_class
from daemon.sources.live_mode import LiveMode
from daemon.sources.saved_acquisitions import SavedAcquisitions
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError

PORT = 4827
LOCAL = ("127.0.0.1", "localhost")
ANSWER_TICKS, PAUSE_TICKS = 10, 10
MAX_PENDING_S = 30.0

log = logging.getLogger(__name__)


class MicroManager:
    """Waits for Micro-Manager, attaches, and follows its live mode.

    It attaches again when the bridge fails.

    Args:
        section: the configuration of the source.
        stop: ends the source.
        resume: position of an acquisition in a camera process before this one.

    Raises:
        InputError: the address cannot work, or pycromanager is not installed.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, resume: Resume) -> None:
        self._section, self._stop, self._resume = section, stop, resume
        self._port = port_of(section)
        self._core_class = core_class(section.uri)
        self._core_port = self._port
        self._live: LiveMode | None = None

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of live mode, or of the acquisition."""
        while not self._stop.is_set():
            yield from self._until_it_answers()
            if self._stop.is_set():
                return
            core = None
            try:
                core = attach(self._core_class, self._port)
                self._core_port = core._bridge.port
                wanted = self._section.options(AcquisitionSection)
                if wanted is None:
                    yield from self._follow(core)
                else:
                    yield from self._acquire(core, wanted)
                    return
            except Exception as error:
                if type(error) is not Exception:  # the bridge raises Exception itself, nothing more particular
                    raise
                why = str(error).partition("\n")[0]
                log.warning("the bridge to Micro-Manager on port %d failed: %s", self._port, why)
                detach(core)
                yield from self._pause(f"Micro-Manager on port {self._port} failed, it is attached to again: {why}")
            finally:
                detach(core)
                self._core_port = self._port

    def _follow(self, core: Any) -> Iterator[SourceEvent]:
        """Yield the events of live mode, and of acquisitions in between."""
        if self._live is None:
            self._live = LiveMode(core, self._section.uri, self._stop)
        self._live.attach(core)
        with AcquisitionWatch(studio_class(), self._port) as watch:
            saved = SavedAcquisitions(watch, self._section, self._stop)
            while not self._stop.is_set():
                yield from saved.until_one_runs(self._live.events())
                yield from saved.events()

    def _until_it_answers(self) -> Iterator[SourceEvent]:
        """Wait until Micro-Manager answers."""
        waiting = Waiting(
            f"Micro-Manager on port {self._port}: start it and tick Tools > Options > 'Run server on port {self._port}'"
        )
        while not self._stop.is_set():
            with hello(self._port) as answer:
                for _ in range(ANSWER_TICKS):
                    if answer.poll(int(TICK_S * 1000)):
                        return
                    yield waiting
                    if self._stop.is_set():
                        return

    def lost_call(self, pending_s: float) -> str:
        """Return why a pending call never returns; empty while it may.

        Args:
            pending_s: time since it was sent.
        """
        if not (is_open(self._port) and is_open(self._core_port)):
            return f"Micro-Manager on port {self._port} was closed"
        if pending_s > MAX_PENDING_S:
            with hello(self._port) as answer:
                if answer.poll(int(ANSWER_TICKS * TICK_S * 1000)):
                    return f"Micro-Manager on port {self._port} answers, but not a call of {MAX_PENDING_S:.0f} s ago"
        return ""

    def _acquire(self, core: Any, wanted: AcquisitionSection) -> Iterator[SourceEvent]:
        """Yield the rest of the acquisition.

        Frames are counted, should the bridge fail before the end.
        """
        resume = replace(self._resume, leave=self._leave)
        for event in Acquisition(core, self._section.uri, wanted, resume, self._stop).events():
            if isinstance(event, CameraFrame):
                self._resume = replace(self._resume, number=event.number + 1)
            yield event

    def _leave(self, left: RestartState, debt: str) -> None:
        """Leave a state for the next attempt.

        It is made by a camera process after this one, or by this one should the bridge fail.
        """
        self._resume.leave(left, debt)
        self._resume = replace(self._resume, left=left)

    def _pause(self, why: str) -> Iterator[SourceEvent]:
        for _ in range(PAUSE_TICKS):
            yield Waiting(why[:500])
            if self._stop.wait(TICK_S):
                return


def port_of(section: SourceSection) -> int:
    """Return the port of Micro-Manager's bridge on this machine.

    Raises:
        InputError: the address cannot work.
    """
    host, _, port = (section.place or f"{LOCAL[0]}:{PORT}").rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError(
            f"'{section.place}' is not HOST:PORT", where=section.uri, hint=f"write micromanager:{LOCAL[0]}:{PORT}"
        )
    if host not in LOCAL:
        raise InputError(
            f"Micro-Manager's bridge answers on its own machine only, not to us on {host}",
            where=section.uri,
            hint='run the daemon and its camera process on the microscope PC, with uri = "micromanager:"',
        )
    return int(port)
