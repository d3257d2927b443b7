"""Windows -> pictures: the one thread that owns the model and the device."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

import torch

from daemon.health import Health
from daemon.ingest.windows import WindowQueue
from daemon.live_config import LiveConfig
from daemon.processing.first_window import mean_of
from daemon.processing.picture_headers import accumulated_of, header_of, maps_of, raw_header_of
from daemon.processing.reconstructor import PREVIEW, Reconstructor, WindowResult, stride_s
from daemon.processing.sinks import Sink, Sinks, WindowOutput
from daemon.run_clock import unix_ns
from daemon.stopwatch import Stopwatch
from daemon.stream_settings import KnownSettings
from selfstorm.compute.device import describe, prepare_thread
from selfstorm.errors import InputError, first_line
from selfstorm.frames import Window
from selfstorm.metrics.registry import METRICS
from selfstorm.reconstruction import Reconstruction
from selfstorm.stream.model_kinds import kind_of
from selfstorm.stream.tiled.field import TileWorkers

log = logging.getLogger(__name__)

WAIT_S = 0.2
ACCUMULATED_INTERVAL_S = 1.0  # between accumulated pictures: fusing one takes as long as a window's
EMPTY = "none of its frames arrived"
LEARNING = (
    "camera, optics and density are learned from it, which takes about {seconds:.0f} s; windows until then are "
    "skipped. A region, a shorter window or a lower scale takes less"
)


class Worker(threading.Thread):
    """Reconstructs window after window until the queue is finished.

    Every picture goes to the outputs.

    Args:
        live: configuration, followed before every window.
        device: prepared for computation.
        sinks: outputs, in the order in which they get each picture.
        tile_workers: processes that compute the tiles of a tiled model, where there are any.

    Attributes:
        fatal: error in the user's input that ends the run; None while there is none.
        abandoned: the windows that are left, or outputs that a drive holds up, were given up.
        died: whether the thread ended by a fault of the program.
    """

    def __init__(
        self,
        live: LiveConfig,
        health: Health,
        queue: WindowQueue,
        device: torch.device,
        sinks: Iterable[Sink],
        tile_workers: TileWorkers | None = None,
    ) -> None:
        super().__init__(name="worker", daemon=True)
        self._health, self._queue = health, queue
        self._live, self._config = live, live.current
        self._sinks = Sinks(sinks, health)
        self._reset = threading.Event()
        self._output_lock = threading.Lock()
        self.abandoned = self._closed = False
        self._device = describe(device)
        config, chosen = self._config, self._config.reconstruction
        self._known = KnownSettings()
        self._reconstructor = Reconstructor(
            lambda info: self._known.of(self._config, info),
            device,
            steady=config.lossless or not kind_of(chosen.model).has_levels,
            as_offline=config.lossless,
            tell=health.event,
            budget=lambda: self._config.reconstruction.budget,
            checkpoint=config.checkpoint,
            tile_workers=tile_workers,
        )
        self._logged = ""
        self._accumulated_s = -ACCUMULATED_INTERVAL_S
        self.fatal: InputError | None = None
        self.died = True  # until the last line of run
        health.report(device=self._device)

    def reset_model(self) -> None:
        """Start a new model with the next window."""
        self._reset.set()

    def run(self) -> None:
        """Reconstruct windows until the queue is finished, then close the outputs."""
        prepare_thread(self._reconstructor.compute.device)
        self._sinks.start()
        try:
            while not self._queue.finished and self.fatal is None:
                window = self._queue.get(WAIT_S)
                if window is not None:
                    self._process(window)
            self.died = False
        finally:
            self._close()

    def _close(self) -> None:
        with self._output_lock:
            if not self._closed:
                self._sinks.close()
                self._closed = True

    def abandon(self, timeout_s: float) -> None:
        """Give up the window under way and those that wait, and close the outputs.

        The windows count as skipped. The thread may go on computing; nothing comes of it. A drive that hangs holds the
        outputs up, and the lock with them: their files are then left as they are.

        Args:
            timeout_s: seconds for the outputs.
        """
        deadline_s = time.monotonic() + timeout_s
        free = self._output_lock.acquire(timeout=timeout_s)
        if not self._closed:
            self._give_up()
        if free:
            self._output_lock.release()
        closing = threading.Thread(target=self._close, name="closing", daemon=True)
        closing.start()
        closing.join(max(0.0, deadline_s - time.monotonic()))
        if not self._closed:
            text = "their drive did not answer before the stop; what was written of them is kept"
            self._health.event("error", "outputs_unfinished", f"files are unfinished: {text}")

    def _give_up(self) -> None:
        self.abandoned, self.died = True, False
        windows = self._health.counts()[1]
        left = windows.complete - windows.published - windows.skipped - windows.failed
        if left:
            self._health.windows(skipped=left, skipped_at_stop=left)
            text = f"{left} window{'s' * (left != 1)} not reconstructed: the run was stopped"
            self._health.event("warning", "windows_abandoned", text)

    def _follow_config(self) -> None:
        """Apply requests since the last window.

        The manifest has them before the window that they change.
        """
        if self._config is not self._live.current:
            self._config = self._live.current
            self._sinks.config_changed(self._config)
        if self._reset.is_set():
            self._reset.clear()
            self._reconstructor.forget()
            self._sinks.model_reset()

    def _process(self, window: Window) -> None:
        """Make and hand out the pictures of one window.

        A window may fail in any way: the next one is tried.
        """
        self._follow_config()
        if not window.frames:
            self._failed(window, "window_empty", EMPTY)
            return
        try:
            self._known.of(self._config, window.info)
        except InputError as error:
            if self._health.counts()[1].published:  # a calibration that cannot be read now; frames are recorded still
                self._failed(window, "window_failed", str(error))
                return
            with self._output_lock:  # only the user can correct it
                self._health.windows(failed=not self.abandoned)
            self.fatal = error
            return
        stopwatch = Stopwatch(self._reconstructor.compute.clock)
        latencies = {"waiting": (unix_ns() - window.frames[-1].received_unix_ns) / 1e6}

        def preview(result: Reconstruction) -> None:
            output = self._output(window, WindowResult(result, PREVIEW, "", True), stopwatch)
            with self._output_lock:
                if not self.abandoned:
                    self._sinks.preview(output)
            latencies["preview"] = output.header.metrics["latency_ms"]

        try:
            self._show_first(window)
            wanted, window = window, self._reconstructor.in_time(window)
            self._health.frames(passed_over=len(wanted.before) - len(window.before))
            made = self._reconstructor.reconstruct(window, stopwatch, preview)
            output = self._output(window, made, stopwatch, again="preview" in latencies)
        except InputError as error:
            self._failed(window, "window_failed", str(error))
            return
        except Exception as error:  # the stream goes on with the last good model
            self._log_once(window, error)
            self._failed(window, "window_failed", f"{type(error).__name__}: {error}")
            return
        with self._output_lock:
            if not self.abandoned:
                self._hand_out(output, made, stopwatch, latencies)
        if made.learned:
            self._hand_out_learned(output)

    def _hand_out(
        self, output: WindowOutput, made: WindowResult, stopwatch: Stopwatch, latencies: dict[str, float]
    ) -> None:
        self._health.windows(published=1)
        self._sinks.result(output)
        header = output.header
        latencies["refined"] = header.metrics["latency_ms"]
        self._health.latencies(stopwatch.milliseconds | latencies)
        self._health.report(
            metrics=header.metrics,
            estimate=header.estimate,
            effort=header.effort,
            grade=header.grade,
            model_state=made.state,
        )
        log.info(
            "window %d (%s): %s; %s",
            output.window.index,
            made.state,
            METRICS.line(header.metrics),
            stopwatch.milliseconds,
        )

    def _hand_out_learned(self, output: WindowOutput) -> None:
        """Accumulate a window, and hand out what was learned from it.

        The accumulated picture is drawn at most once a second.
        """
        sums, picture, now_s = None, None, time.monotonic()
        try:
            sums = self._reconstructor.accumulate()
            if sums is not None and now_s >= self._accumulated_s + ACCUMULATED_INTERVAL_S:
                self._accumulated_s = now_s
                picture = accumulated_of(output.header, sums)
        except Exception as error:  # the sums so far remain, and the next may succeed
            what = f"{type(error).__name__}: {first_line(error)}"
            self._health.event("warning", "accumulated_failed", f"window {output.window.index}: {what}")
        with self._output_lock:
            if self.abandoned:
                return
            self._sinks.learned(output, sums)
            if picture is not None:
                self._sinks.accumulated(picture)

    def _show_first(self, window: Window) -> None:
        """Say how long the first window takes; show its mean until then.

        Nothing is said where a field is learned in less than a stride.
        """
        seconds = self._reconstructor.first_window_s(window)
        if seconds <= stride_s(window):
            return
        self._health.event("info", "learning", f"window {window.index}: {LEARNING.format(seconds=seconds)}")
        settings = self._reconstructor.settings
        self._sinks.mean(mean_of(window, settings, self._health, unix_ns(), seconds))

    def _log_once(self, window: Window, error: Exception) -> None:
        """Log the traceback of a failed window.

        It is not logged again while windows fail in the same way.
        """
        what = f"{type(error).__name__}: {first_line(error)}"
        if what != self._logged:
            self._logged = what
            log.error("window %d failed", window.index, exc_info=error)

    def _failed(self, window: Window, code: str, why: str) -> None:
        with self._output_lock:
            if self.abandoned:
                return
            self._health.windows(failed=1)
            self._health.event("warning" if why == EMPTY else "error", code, f"window {window.index}: {why}")
            self._sinks.failed(window, why)

    def _output(self, window: Window, made: WindowResult, stopwatch: Stopwatch, *, again: bool = False) -> WindowOutput:
        """Describe a picture for the outputs.

        Args:
            window: its frames.
            made: the picture, and what it was made with.
            stopwatch: of the window.
            again: the mean of the window's frames was sent with its preview.
        """
        settings, result = self._reconstructor.settings, made.result
        header = header_of(window, made, settings, self._health, stopwatch, device=self._device, now_unix_ns=unix_ns())
        raw = None if again else (raw_header_of(header, result), result.raw_mean)
        reconstructor = self._reconstructor
        return WindowOutput(
            window,
            made,
            header,
            raw,
            maps_of(header, result),
            reconstructor.model,
            reconstructor.continues_checkpoint,
        )
