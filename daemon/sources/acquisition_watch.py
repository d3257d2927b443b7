"""Recognition of an acquisition that runs in Micro-Manager.

Micro-Manager's window knows it, and where it is saved. The window is asked on a connection
of its own, by a thread of its own: one that is slow, or not there, disturbs no frame.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

from daemon.sources.core_connection import attach, detach

CLOSE_S = 0.5

log = logging.getLogger(__name__)


class RunningAcquisition(NamedTuple):
    """An acquisition of Micro-Manager's own window.

    Attributes:
        root: folder that its data set comes into; None where it is not saved.
        prefix: beginning of the data set's name.
    """

    root: Path | None
    prefix: str


class AcquisitionWatch:
    """Asks Micro-Manager's window which acquisition runs.

    Args:
        studio_class: pycromanager's Studio.
        port: of Micro-Manager's server.

    Attributes:
        running: the acquisition as of the last answer; None where none runs.
        answers: number of answers so far.
    """

    def __init__(self, studio_class: Any, port: int) -> None:
        self._studio_class, self._port = studio_class, port
        self.running: RunningAcquisition | None = None
        self.answers = 0
        self._asked, self._halt = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def ask(self) -> None:
        """Ask again, without waiting for the answer."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="acquisition watch", daemon=True)
            self._thread.start()
        self._asked.set()

    def _answer(self) -> None:
        """Answer whenever asked, until the end or the first failure."""
        studio = None
        try:
            studio = attach(self._studio_class, self._port)
            while not self._halt.is_set():
                self._asked.wait()
                self._asked.clear()
                if self._halt.is_set():
                    return
                self.running = _running(studio)
                self.answers += 1
        except Exception as error:  # of the bridge, or no window: the images themselves show what is taken
            log.info("Micro-Manager's window cannot be asked for its acquisition: %s", str(error).partition("\n")[0])
            self.running = None
        finally:
            detach(studio)


def _running(studio: Any) -> RunningAcquisition | None:
    acquisitions = studio.acquisitions()
    if not acquisitions.is_acquisition_running():
        return None
    settings = acquisitions.get_acquisition_settings()
    if settings is None or not settings.save() or not settings.root():
        return RunningAcquisition(None, "")
    return RunningAcquisition(Path(str(settings.root())), str(settings.prefix() or ""))
