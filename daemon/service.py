"""The daemon, wired together: read this first.

    camera process --ZMQ--> intake -> windows -> worker -> publisher --ZMQ--> viewers        (or a publisher elsewhere)
          |                                        |
          `--ZMQ--> recorder process               `-> movie out (--save)

    starting -> running -> draining -> ended
        |          |
        |          +-> waiting (for Micro-Manager, for live mode) and back
        `----------+-> failed (a user's mistake, or a camera process that cannot be kept alive)

Draining: the camera is told to stop, frames under way are taken in, the windows that wait are finished (live: the
newest; lossless: all), files are closed under their final names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from daemon.config import Config
from daemon.connection import load_key
from daemon.control import Control
from daemon.external_source import ExternalSource
from daemon.guests import Guests
from daemon.health import Health
from daemon.intake import Intake
from daemon.keys import Keyring
from daemon.loopback import is_loopback
from daemon.metrics import MetricsServer
from daemon.protocol.messages import Status
from daemon.publisher import Publisher
from daemon.recorder_supervisor import RecorderSupervisor
from daemon.stop_signals import StopSignals
from daemon.supervisor import CameraSupervisor
from daemon.windows import WindowQueue
from daemon.worker import Worker
from daemon.writer import MovieOut
from selfstorm.errors import InputError

TICK_S = 0.1
DRAIN_S = 5.0
Camera = CameraSupervisor | ExternalSource


class Service:
    """One run of the daemon, from start to a complete account."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.health = Health(run=uuid4().hex)
        self._stop = threading.Event()
        guests = self._guests()  # before anything is made on disk
        self._movie = MovieOut(config.save, self.health) if config.save else None
        self._queue = WindowQueue(lossless=config.lossless)
        self._publisher = Publisher(config.server.results, self.health, guests)
        self._control = Control(config.server.control, self.health, self._stop.set, guests)
        if config.record:
            _make_folder(config.record)
        self._worker = Worker(config, self.health, self._queue, self._publisher, self._movie)

    def _guests(self) -> Guests | None:
        """Who may come in from other machines, None where none can reach us. Raises InputError without keys."""
        server = self._config.server
        reachable = next((one for one in (server.results, server.control) if not is_loopback(one)), None)
        if reachable is None:
            return None
        return Guests(Keyring(server.keys), reachable, lambda why: self.health.event("warning", "key_refused", why))

    def run(self) -> Status:
        """Run until the source ends, the duration is over or someone stops it; returns the final account.

        Raises InputError for a mistake of the user's, found at the start or later; everything is closed by then.
        """
        with StopSignals(self._stop.set):
            cleanup: list[Callable[[], None]] = []
            try:
                return self._run(cleanup)
            except InputError as error:
                self.health.report(state="failed", detail=str(error))
                raise
            finally:
                for step in reversed(cleanup):
                    step()

    def _run(self, cleanup: list[Callable[[], None]]) -> Status:
        config, health = self._config, self.health
        self._publisher.listen()
        cleanup.append(self._publisher.stop)
        self._control.listen()
        cleanup.append(self._control.stop)
        if config.server.metrics_port is not None:
            cleanup.append(MetricsServer(config.server.metrics_port, health).stop)
        camera = self._camera()
        cleanup.append(camera.stop)
        key = load_key(config.source.key) if config.source.key is not None else None
        intake = Intake(
            camera.endpoint,
            health,
            self._queue,
            length=config.reconstruction.window,
            stride=config.reconstruction.stride,
            begins=self._publisher.describe,
            late=not camera.ends_with_source,
            key=key,
        )
        recorder = None
        if config.record:
            recorder = RecorderSupervisor(
                camera.endpoint, config.record, health, late=not camera.ends_with_source, key=config.source.key
            )
            cleanup.append(recorder.stop)
        self._worker.start()
        intake.start()
        try:
            self._watch(camera, intake, recorder)
        finally:
            self._drain(camera, intake, recorder)
        if self._worker.fatal is not None:
            raise self._worker.fatal
        if self._worker.died:
            raise InputError("the worker died", mend="its log says where; please report it")
        health.report(state="ended", detail="")
        return health.status()

    def _camera(self) -> Camera:
        """Where frames come from: a camera process of our own, or a publisher that is there or will be."""
        config = self._config
        if config.source.scheme == "zmq":
            return ExternalSource(config.source, self.health)
        subscribers = 2 if config.record else 1
        return CameraSupervisor(config.source, self.health, subscribers=subscribers, lossless=config.lossless)

    def _watch(self, camera: Camera, intake: Intake, recorder: RecorderSupervisor | None) -> None:
        """The main loop: look after the children until it is time to stop."""
        started_s = time.monotonic()
        while not self._stop.wait(TICK_S):
            ended = intake.source_state == "ended" and camera.ends_with_source
            if ended or not self._worker.is_alive():
                return
            if self._config.duration_s and time.monotonic() - started_s > self._config.duration_s:
                return
            waiting = camera.away or intake.source_state in ("waiting", "ended")
            self.health.report(state="waiting" if waiting else "running")
            if recorder is not None:
                recorder.check()
                if recorder.stopped:
                    camera.subscribers = 1
            camera.check(intake.heard_s, intake.resume_at)
            if camera.away:
                intake.source_gone()
                if intake.shut_out:
                    self.health.report(detail=intake.shut_out)

    def _drain(self, camera: Camera, intake: Intake, recorder: RecorderSupervisor | None) -> None:
        """Stop the camera, take in what is under way, finish the windows that wait, close the files."""
        self.health.report(state="draining")
        self._queue.hurry()
        camera.ask_to_stop()
        deadline = time.monotonic() + DRAIN_S
        while intake.source_state != "ended" and camera.pid is not None and time.monotonic() < deadline:
            time.sleep(TICK_S / 10)
        intake.stop()
        intake.join()
        camera.stop()
        if recorder is not None:
            recorder.stop()
        self._worker.join()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be made ({error.strerror})", where=folder, mend="choose another folder to record into"
        ) from None
