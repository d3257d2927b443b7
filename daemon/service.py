"""Wiring of the daemon: read this first.

    camera process --ZMQ--> receiver -> windows -> worker -> sinks: publisher --ZMQ--> viewers
     (or publisher          |                                       picture files (--save, --accumulated),
      elsewhere)            |                                       table (--localizations), manifest, checkpoint
          `--ZMQ--> recorder process

    control <--ZMQ-- clients: the request handler reads all of these, and changes settings and recording

    starting -> running -> draining -> ended
        |          |
        |          +-> waiting (for Micro-Manager, for live mode) and back
        `----------+-> failed (an error in the user's input, or a camera process that cannot be kept alive)

Draining: the camera is stopped, frames under way are received, waiting windows are reconstructed (live: the newest;
lossless: all), and files are closed under their final names. A run that is asked to stop ends within 5 s: a window that
takes longer is given up and counted as skipped, and a file whose drive hangs is left unfinished.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import torch

from daemon.config import Config
from daemon.control.request_handler import RequestHandler
from daemon.control.server import ControlServer
from daemon.control.snapshots import Snapshots
from daemon.health import Health
from daemon.ingest.receiver import FrameReceiver
from daemon.ingest.windows import WindowQueue
from daemon.keys.allow_list import AllowList
from daemon.keys.loopback import is_loopback
from daemon.keys.store import Keyring
from daemon.live_config import LiveConfig
from daemon.processing.checkpoint_writer import CheckpointWriter
from daemon.processing.light_check import LightCheck
from daemon.processing.manifest import Manifest
from daemon.processing.pixel_size_check import PixelSizeCheck
from daemon.processing.sinks import PublisherSink, Sink
from daemon.processing.worker import Worker
from daemon.prometheus import MetricsServer
from daemon.protocol.messages import Status
from daemon.recording.accumulated_writer import AccumulatedWriter
from daemon.recording.controller import RecordingController
from daemon.recording.localization_writer import LocalizationWriter
from daemon.recording.picture_writer import PictureWriter
from daemon.recording.supervisor import Reached
from daemon.sources.remote import ExternalSource
from daemon.sources.supervisor import CameraSupervisor
from daemon.stop_deadline import CAMERA_S, CLOSE_S, FILES_S, RECORDER_S, WINDOW_S, StopDeadline
from daemon.stop_signals import StopSignals
from daemon.tiles.pool import TilePool, devices_of
from daemon.transport.child_process import STOP_S
from daemon.transport.client_socket import load_key
from daemon.transport.publisher import Publisher
from selfstorm.compute.device import describe, prepare_device
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

TICK_S, HUNG_S = 0.1, 0.5
Camera = CameraSupervisor | ExternalSource


class Service:
    """One run of the daemon.

    It lasts from the start to a complete account of all frames.

    Attributes:
        health: account of the run.

    Raises:
        InputError: an error in the user's input that is found before the start.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.health = Health(run=uuid4().hex)
        self._stop, self._deadline = threading.Event(), StopDeadline()
        allow_list = self._allow_list()  # before anything is made on disk
        self._queue = WindowQueue(lossless=config.lossless)
        self._publisher = Publisher(config.server.results, self.health, allow_list)
        self._live = LiveConfig(config)
        device = prepare_device(config.reconstruction.device)
        self._tiles = self._tile_pool(device)
        sinks = self._sinks(describe(device))
        self._worker = Worker(self._live, self.health, self._queue, device, sinks, self._tiles)
        folder = config.folder.absolute()  # it is named to programs with another working directory
        self._recording = RecordingController(
            folder, self.health, self._reached, key=config.source.key, camera=lambda: self._live.current.camera
        )
        self._snapshots = Snapshots(folder, self.health)
        self._receiver: FrameReceiver | None = None
        handler = RequestHandler(
            live=self._live,
            health=self.health,
            queue=self._queue,
            publisher=self._publisher,
            recording=self._recording,
            snapshots=self._snapshots,
            model=self._worker,
            stream=self._stream,
            stop_service=self.stop,
        )
        self._control = ControlServer(config.server.control, self.health, handler, allow_list)

    @property
    def abandoned(self) -> bool:
        """True where a thread still computes or writes what was given up.

        The program must then be ended without waiting for it.
        """
        return self._worker.abandoned or self._snapshots.is_alive()

    def _tile_pool(self, device: torch.device) -> TilePool | None:
        """Start the processes of a tiled model, where there are to be any."""
        chosen = self._config.reconstruction
        devices = devices_of(device, chosen.tile_processes) if chosen.model == "tiled" else []
        return TilePool(devices, lambda text: self.health.event("error", "tiles_lost", text)) if devices else None

    def _sinks(self, device: str) -> list[Sink]:
        """Make all outputs of the pictures.

        They get each picture in this order.
        """
        config, health = self._config, self.health
        sinks: list[Sink] = [PublisherSink(self._publisher)]
        if config.save is not None:
            sinks.append(PictureWriter(config.save, health))
        if config.accumulated is not None:
            sinks.append(AccumulatedWriter(config.accumulated, health))
        if config.localizations is not None:
            sinks.append(LocalizationWriter(config.localizations, health))
        sinks += [PixelSizeCheck(health), LightCheck(health), Manifest(config, health, device)]
        if config.checkpoint is not None:
            sinks.append(CheckpointWriter(config.checkpoint, health))
        return sinks

    def _allow_list(self) -> AllowList | None:
        """Load the keys of other machines.

        Returns:
            The allow list; None where all addresses are loopback.

        Raises:
            InputError: other machines can reach an address, and there are no keys.
        """
        server = self._config.server
        reachable = next((one for one in (server.results, server.control) if not is_loopback(one)), None)
        if reachable is None:
            return None
        return AllowList(Keyring(server.keys), reachable, lambda why: self.health.event("warning", "key_refused", why))

    def stop(self) -> None:
        """Request a stop, from any thread."""
        self._stop.set()

    def run(self, started: Callable[[], None] = lambda: None) -> Status:
        """Run until the source ends, the duration is over, or a stop request.

        Args:
            started: called once viewers can connect and the source is open.

        Returns:
            The final account.

        Raises:
            InputError: an error in the user's input, found at the start or later; everything is closed by then.
        """
        with StopSignals(self.stop):
            cleanup: list[Callable[[], None]] = []
            try:
                return self._run(cleanup, started)
            except InputError as error:
                self.health.report(state="failed", detail=str(error))
                raise
            finally:
                for step in reversed(cleanup):
                    step()

    def _run(self, cleanup: list[Callable[[], None]], started: Callable[[], None]) -> Status:
        config, health = self._config, self.health
        self._publisher.listen()
        cleanup.append(self._publisher.stop)
        self._snapshots.start()
        cleanup.append(self._finish_snapshots)
        self._control.listen()
        cleanup.append(self._control.stop)
        if config.server.metrics_port is not None:
            cleanup.append(MetricsServer(config.server.metrics_port, health).stop)
        try:
            camera = self._camera()
        except InputError:
            if not self._stop.is_set():
                raise
            health.report(state="ended", detail="")
            return health.status()
        cleanup.append(camera.stop)
        if (tiles := self._tiles) is not None:
            cleanup.append(lambda: tiles.close(self._left_s(CLOSE_S)))
        started()
        late = not camera.ends_with_source
        key = load_key(config.source.key) if config.source.key is not None else None
        receiver = self._receiver = FrameReceiver(
            camera.endpoint,
            health,
            self._queue,
            settings=self._live,
            begins=self._publisher.describe,
            late=late,
            key=key,
        )
        cleanup.append(lambda: self._recording.close(self._left_s(RECORDER_S)))
        if config.record:
            self._recording.start(config.record, late=late)
            self._recording.check(camera.endpoint)
        self._worker.start()
        receiver.start()
        try:
            self._watch(camera, receiver)
        finally:
            self._drain(camera, receiver)
        if receiver.died:
            raise InputError("receiving frames ended by a fault of the program", hint="please report the log")
        if self._worker.fatal is not None:
            raise self._worker.fatal
        if self._worker.died:
            raise InputError("the reconstruction ended by a fault of the program", hint="please report the log")
        health.report(state="ended", detail="")
        return health.status()

    def _camera(self) -> Camera:
        """Start the camera process.

        Where a publisher elsewhere sends the frames, its address is used instead.
        """
        config = self._config
        if config.source.kind.published_elsewhere:
            return ExternalSource(config.source, self.health)
        subscribers = 2 if config.record else 1
        return CameraSupervisor(
            config.source, self.health, subscribers=subscribers, lossless=config.lossless, stop=self._stop
        )

    def _reached(self) -> Reached:
        sent = self.health.counts()[0].sent  # before the stream's position: what comes in between is under way
        receiver = self._receiver
        if receiver is None or receiver.stream is None:
            return Reached(sent)
        return Reached(sent, receiver.stream.info.stream, receiver.stream.next_seq)

    def _stream(self) -> StreamInfo | None:
        stream = self._receiver.stream if self._receiver is not None else None
        return None if stream is None else stream.info

    def _watch(self, camera: Camera, receiver: FrameReceiver) -> None:
        """Run the main loop: check the child processes until it is time to stop."""
        started_s = time.monotonic()
        while not self._stop.wait(TICK_S):
            ended = receiver.source_state == "ended" and camera.ends_with_source
            if ended or not self._worker.is_alive():
                return
            if self._config.duration_s and time.monotonic() - started_s > self._config.duration_s:
                return
            waiting = camera.away or receiver.still_s or receiver.source_state in ("waiting", "ended")
            self.health.report(state="waiting" if waiting else "running")
            self._recording.check(camera.endpoint)
            camera.subscribers = 2 if self._recording.wanted else 1
            camera.check(receiver.heard_s, receiver.resume_at, self.health.counts()[0].sent)
            if camera.away:
                receiver.source_gone()
                if receiver.shut_out:
                    self.health.report(detail=receiver.shut_out)

    def _drain(self, camera: Camera, receiver: FrameReceiver) -> None:
        """Stop the camera and finish the run.

        Frames under way are received, waiting windows are reconstructed, and files are closed. Where a stop was
        requested, all waits share one deadline.
        """
        deadline = self._deadline = StopDeadline()
        self.health.report(state="draining")
        self._queue.hurry()
        camera.ask_to_stop()
        while receiver.source_state != "ended" and camera.pid is not None and not receiver.still_s:
            if deadline.passed(CAMERA_S):
                break
            time.sleep(TICK_S / 10)
        receiver.stop()
        receiver.join()
        self._recording.close(self._left_s(RECORDER_S))
        if not self._ends(self._worker, WINDOW_S):
            self._worker.abandon(deadline.left_s(FILES_S))
        # A camera that does not answer will not now.
        camera.stop(HUNG_S if receiver.still_s else deadline.left_s(CLOSE_S))

    def _left_s(self, until_s: float) -> float:
        """Return the seconds to wait for a child process."""
        return self._deadline.left_s(until_s) if self._stop.is_set() else STOP_S

    def _ends(self, thread: threading.Thread, until_s: float) -> bool:
        """Wait until a thread has ended; where a stop was requested, not for long."""
        deadline_s: float | None = None
        while thread.is_alive():
            thread.join(TICK_S)
            now_s = time.monotonic()
            if self._stop.is_set() and deadline_s is None:
                deadline_s = now_s + self._deadline.left_s(until_s)
            if deadline_s is not None and now_s > deadline_s:
                return not thread.is_alive()
        return True

    def _finish_snapshots(self) -> None:
        self._snapshots.finish()
        if not self._ends(self._snapshots, FILES_S):
            self.health.event("error", "snapshot_failed", f"{self._config.folder}: it did not answer before the stop")
