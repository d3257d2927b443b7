"""micromanager:[HOST:PORT], a running Micro-Manager, seen through its bridge: its live mode, left as it is.

Images are looked at, never popped: Micro-Manager's own window would starve. Nothing is cleared, started or set either.
With [source.acquisition] the daemon starts an acquisition of its own: only then (acquisition.py).

A call that is pending when Micro-Manager dies never returns: the daemon notices the silence and replaces this process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import zmq

from daemon.sources.acquisition import Acquisition, AcquisitionSection
from daemon.sources.camera import TICK_S, CameraFrame, RestartState, Resume, SourceEvent, Waiting
from daemon.sources.core_connection import attach, core_class, detach
from daemon.sources.live_mode import LiveMode
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError

PORT = 4827
LOCAL = ("127.0.0.1", "localhost")
ANSWER_TICKS, PAUSE_TICKS = 10, 10

log = logging.getLogger(__name__)


class MicroManager:
    """Waits for Micro-Manager, attaches, follows it; attaches again when the bridge fails.

    resume: where an acquisition stood in a camera process before this one.
    """

    def __init__(self, section: SourceSection, stop: threading.Event, resume: Resume) -> None:
        self._section, self._stop, self._resume = section, stop, resume
        self._port = port_of(section)
        self._core_class = core_class(section.uri)

    def events(self) -> Iterator[SourceEvent]:
        while not self._stop.is_set():
            yield from self._until_it_answers()
            if self._stop.is_set():
                return
            core = None
            try:
                core = attach(self._core_class, self._port)
                wanted = self._section.options(AcquisitionSection)
                if wanted is None:
                    yield from LiveMode(core, self._section.uri, self._stop).events()
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

    def _until_it_answers(self) -> Iterator[SourceEvent]:
        """Says hello as pycromanager does, on a socket that can be given up: pycromanager's own would spin and leak."""
        waiting = Waiting(
            f"Micro-Manager on port {self._port}: start it and tick Tools > Options > 'Run server on port {self._port}'"
        )
        with zmq.Context() as context:
            while not self._stop.is_set():
                with context.socket(zmq.REQ) as hello:
                    hello.setsockopt(zmq.LINGER, 0)
                    hello.connect(f"tcp://127.0.0.1:{self._port}")
                    hello.send_json({"command": "connect", "debug": False})
                    for _ in range(ANSWER_TICKS):
                        if hello.poll(int(TICK_S * 1000)):
                            return
                        yield waiting
                        if self._stop.is_set():
                            return

    def _acquire(self, core: Any, wanted: AcquisitionSection) -> Iterator[SourceEvent]:
        """What is left of the acquisition; frames are counted on, should the bridge fail in between."""
        resume = replace(self._resume, leave=self._leave)
        for happening in Acquisition(core, self._section.uri, wanted, resume, self._stop).events():
            if isinstance(happening, CameraFrame):
                self._resume = replace(self._resume, number=happening.number + 1)
            yield happening

    def _leave(self, left: RestartState, debt: str) -> None:
        """For a camera process after this one, and for this one should the bridge fail."""
        self._resume.leave(left, debt)
        self._resume = replace(self._resume, left=left)

    def _pause(self, why: str) -> Iterator[SourceEvent]:
        for _ in range(PAUSE_TICKS):
            yield Waiting(why[:500])
            if self._stop.wait(TICK_S):
                return


def port_of(section: SourceSection) -> int:
    """The port of Micro-Manager's bridge on this machine. Raises InputError for an address that cannot work."""
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
