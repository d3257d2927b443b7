"""Windows -> pictures: the one thread that owns the model and the device."""

from __future__ import annotations

import logging
import threading
import time

from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.live_config import LiveConfig
from daemon.processing.checkpoint_writer import CheckpointWriter
from daemon.processing.manifest import Manifest
from daemon.processing.picture_headers import header_of, quality_of, raw_header_of
from daemon.processing.reconstructor import PREVIEW, Reconstructor, WindowResult
from daemon.protocol.messages import PictureHeader
from daemon.recording.picture_writer import PictureWriter
from daemon.stopwatch import Stopwatch
from daemon.stream_settings import stream_settings
from daemon.transport.publisher import Publisher
from selfstorm.compute.device import describe, prepare_device
from selfstorm.errors import InputError
from selfstorm.frames import Window
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.model import SequenceModel

log = logging.getLogger(__name__)

WAIT_S = 0.2
EMPTY = "none of its frames arrived"


class Worker(threading.Thread):
    """Reconstructs window after window until the queue is finished.

    fatal: the user's mistake that made going on pointless, None while there is none. died: it ended without meaning to.
    """

    def __init__(
        self,
        settings: LiveConfig,
        health: Health,
        queue: WindowQueue,
        publisher: Publisher,
        movie: PictureWriter | None,
    ) -> None:
        super().__init__(name="worker", daemon=True)
        self._health, self._queue = health, queue
        self._publisher, self._movie = publisher, movie
        self._settings, self._config = settings, settings.current
        config, chosen = self._config, self._config.reconstruction
        self._reset = threading.Event()
        device = prepare_device(chosen.device)
        self._device = describe(device)
        self._manifest = Manifest(config, health, self._device)
        self._keeper = CheckpointWriter(config.checkpoint, health) if config.checkpoint else None
        self._reconstructor = Reconstructor(
            lambda info: stream_settings(self._config, info),
            device,
            steady=config.lossless or chosen.model == "paper",
            whole=config.lossless,
            tell=health.event,
            budget=lambda: self._config.reconstruction.budget,
            checkpoint=config.checkpoint,
        )
        self.fatal: InputError | None = None
        self.died = True  # until the last line of run
        health.report(device=self._device)

    def reset_model(self) -> None:
        """From the next window on another model learns, from nothing."""
        self._reset.set()

    def run(self) -> None:
        if self._keeper is not None:
            self._keeper.start()
        while not self._queue.finished and self.fatal is None:
            window = self._queue.get(WAIT_S)
            if window is not None:
                self._window(window)
        if self._movie is not None:
            self._movie.close()
        if self._keeper is not None:
            self._keeper.close()
        self._manifest.close()
        self.died = False

    def _follow_settings(self) -> None:
        """What was asked for since the last window; the manifest has it before the window that shows it."""
        if self._config is not self._settings.current:
            self._config = self._settings.current
            self._manifest.changed(self._config)
        if self._reset.is_set():
            self._reset.clear()
            self._reconstructor.forget()
            self._manifest.reset()

    def _window(self, window: Window) -> None:
        self._follow_settings()
        if not window.frames:
            self._health.windows(failed=1)
            self._health.event("warning", "window_empty", f"window {window.index}: {EMPTY}")
            self._manifest.failed(window, EMPTY)
            return
        stopwatch = Stopwatch()
        latencies = {"waiting": (time.time_ns() - window.frames[-1].received_unix_ns) / 1e6}

        def preview(result: Reconstruction) -> None:
            header = self._publish("sr.preview", window, WindowResult(result, PREVIEW, "", True), stopwatch)
            latencies["preview"] = header.latency_ms or 0.0

        try:
            wanted, window = window, self._reconstructor.in_time(window)
            self._health.frames(passed_over=len(wanted.before) - len(window.before))
            made = self._reconstructor.reconstruct(window, stopwatch, preview)
        except InputError as error:
            self._health.windows(failed=1)
            self.fatal = error
            return
        except Exception as error:  # the stream goes on with the last good model
            self._health.windows(failed=1)
            log.exception("window %d failed", window.index)
            self._health.event("error", "window_failed", f"window {window.index}: {type(error).__name__}: {error}")
            self._manifest.failed(window, str(error))
            return
        self._health.windows(published=1)
        header = self._publish("sr.refined", window, made, stopwatch, again="preview" in latencies)
        latencies["refined"] = header.latency_ms or 0.0
        if self._movie is not None:
            self._movie.add(header, made.result.picture)
        self._health.latencies(stopwatch.milliseconds | latencies)
        self._health.report(latency_ms=latencies["refined"], effort=made.effort.name, model_state=made.state)
        self._manifest.window(window, made)
        log.info(
            "window %d (%s): misfit %.3f, %s", window.index, made.state, made.result.misfit, stopwatch.milliseconds
        )
        model = self._reconstructor.model
        if self._keeper is not None and made.learned and isinstance(model, SequenceModel):
            self._keeper.keep(model, f"{window.info.source}, stream {window.info.stream}, frame {window.last_seq}")

    def _publish(
        self, kind: str, window: Window, made: WindowResult, stopwatch: Stopwatch, *, again: bool = False
    ) -> PictureHeader:
        """Publish what was made; returns what it says of itself.

        again: the window's frames have been shown already.
        """
        settings, result = self._reconstructor.settings, made.result
        header = header_of(
            window, made, settings, self._health, stopwatch, device=self._device, now_unix_ns=time.time_ns()
        )
        raw = None if again else (raw_header_of(header, result), result.raw_mean)
        self._publisher.pictures(kind, (header, result.picture), raw, quality_of(header, result))
        return header
