"""Windows -> pictures: the one thread that owns the model and the device."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np

from daemon.config import CameraSection, Config, OpticsSection
from daemon.health import Health, Level
from daemon.pace import Pace
from daemon.protocol.messages import MAX_LISTED_MISSING, PictureHeader
from daemon.publisher import Publisher
from daemon.windows import WindowQueue
from daemon.writer import MovieOut
from selfstorm.device import describe, prepare_device
from selfstorm.engine import Model, new_model, picture_of
from selfstorm.errors import InputError
from selfstorm.frame_by_frame import Place
from selfstorm.frames import StreamInfo, Window
from selfstorm.model import Settings
from selfstorm.optics import Airy, Gaussian, Psf
from selfstorm.reconstruct import LEAST_FRAMES
from selfstorm.reconstruction import Reconstruction

log = logging.getLogger(__name__)

WAIT_S = 0.2


class Worker(threading.Thread):
    """Reconstructs window after window, each warm-started by the last, until the queue is finished.

    fatal: the user's mistake that made going on pointless, None while there is none. died: it ended without meaning to.
    """

    def __init__(
        self, config: Config, health: Health, queue: WindowQueue, publisher: Publisher, movie: MovieOut | None
    ) -> None:
        super().__init__(name="worker", daemon=True)
        self._config, self._health, self._queue = config, health, queue
        self._publisher, self._movie = publisher, movie
        self._device = prepare_device(config.reconstruction.device)
        chosen = config.reconstruction
        self._pace = Pace(chosen.estimate, steady=config.lossless or chosen.model == "paper")
        self._model: Model | None = None
        self._field: StreamInfo | None = None
        self.fatal: InputError | None = None
        self.died = True  # until the last line of run
        health.report(device=describe(self._device))

    def run(self) -> None:
        while not self._queue.finished and self.fatal is None:
            window = self._queue.get(WAIT_S)
            if window is not None:
                self._window(window)
        if self._movie is not None:
            self._movie.close()
        self.died = False

    def _window(self, window: Window) -> None:
        try:
            started_s = time.monotonic()
            result = self._reconstruct(window)
        except InputError as error:
            self._health.windows(failed=1)
            self.fatal = error
            return
        except Exception as error:  # the stream goes on; the last good model is kept
            self._health.windows(failed=1)
            log.exception("window %d failed", window.index)
            self._health.event("error", "window_failed", f"window {window.index}: {type(error).__name__}: {error}")
            return
        latency_ms = (time.time_ns() - window.frames[-1].received_unix_ns) / 1e6
        self._keep_pace(window, result, time.monotonic() - started_s)
        header = self._header(window, result, latency_ms)
        raw_pixel_nm = header.pixel_nm * result.scale if header.pixel_nm else None
        raw = header.model_copy(
            update={"shape": result.raw_mean.shape, "pixel_nm": raw_pixel_nm, "scale": 1, "estimate": "mean"}
        )
        self._publisher.pictures(header, result.picture, raw, result.raw_mean)
        self._health.windows(published=1)
        self._health.report(latency_ms=latency_ms)
        log.info(
            "window %d (%s): %.2f s, misfit %.3f",
            window.index,
            result.state,
            time.monotonic() - started_s,
            result.misfit,
        )
        if self._movie is not None:
            self._movie.add(header, result.picture)

    def _reconstruct(self, window: Window) -> Reconstruction:
        if len(window.frames) < LEAST_FRAMES:
            raise ValueError(f"{len(window.frames)} of its frames arrived, at least {LEAST_FRAMES} are needed")
        raw = window.stack()
        field = window.info.model_copy(update={"stream": ""})
        if self._model is None or field != self._field:
            self._model = new_model(self._settings(window.info), raw, self._device)
            self._field = field
        numbers = np.array([frame.seq for frame in window.frames])
        place = Place(numbers, window.first_seq, self._config.reconstruction.stride)
        return picture_of(self._model, raw, place, estimate=self._pace.estimate)

    def _keep_pace(self, window: Window, result: Reconstruction, seconds: float) -> None:
        """Make less of the next window where the last took too long, and tell."""
        stride, arrived = self._config.reconstruction.stride, [frame.received_unix_ns for frame in window.frames]
        stride_s = (arrived[-1] - arrived[0]) / 1e9 / (len(arrived) - 1) * stride
        before = self._pace.estimate
        if self._pace.took(seconds, result.new_frames, stride, stride_s):
            now = self._pace.estimate
            level: Level = "info" if now == self._pace.wanted else "warning"
            text = f"window {window.index} took {seconds:.1f} s, a stride lasts {stride_s:.1f} s"
            self._health.event(level, "pace", f"{text}: from '{before}' to '{now}' pictures")

    def _settings(self, info: StreamInfo) -> Settings:
        camera, chosen = self._config.camera, self._config.reconstruction
        pixel_nm = camera.pixel_nm or info.pixel_nm
        if pixel_nm is None:
            raise InputError(
                "pixel size unknown",
                where=info.source,
                mend="set pixel_nm under [camera] in the configuration",
            )
        offset_adu, gain = _camera(camera, info)
        return Settings(
            pixel_nm=pixel_nm,
            psf=_psf(self._config.optics),
            offset_adu=offset_adu,
            gain_adu_per_electron=gain,
            scale=chosen.scale,
            estimate=chosen.estimate,
            quality=chosen.quality,
            model=chosen.model,
            tuning_steps=chosen.tuning_steps,
        )

    def _header(self, window: Window, result: Reconstruction, latency_ms: float) -> PictureHeader:
        notes = list(result.notes)
        if result.estimate != self._config.reconstruction.estimate and self._config.reconstruction.model != "paper":
            notes.append(f"made as '{result.estimate}' to keep up with the camera")
        if window.missing:
            notes.append(f"{len(window.missing)} of its {window.last_seq - window.first_seq + 1} frames never arrived")
        shape: Any = result.picture.shape
        return PictureHeader(
            run=self._health.run,
            window=window.index,
            stream=window.info.stream,
            shape=shape,
            pixel_nm=self._model.settings.pixel_nm / result.scale if self._model else None,
            scale=result.scale,
            first_seq=window.first_seq,
            last_seq=window.last_seq,
            frames=result.frames,
            missing=len(window.missing),
            missing_seqs=window.missing[:MAX_LISTED_MISSING],
            estimate=result.estimate,
            model=f"{self._config.reconstruction.model}, {result.state}, {result.layers} layers",
            optics=result.optics,
            camera=result.camera,
            device=describe(self._device),
            fine_tuning=str(result.fit or ""),
            misfit=result.misfit,
            latency_ms=latency_ms,
            published_unix_ns=time.time_ns(),
            notes=tuple(notes),
        )


def _camera(given: CameraSection, info: StreamInfo) -> tuple[float | None, float | None]:
    """(offset, gain): what the user gave wins over what the camera says."""
    offset_adu = info.offset_adu if given.offset_adu is None else given.offset_adu
    return offset_adu, given.gain_adu_per_electron or info.gain_adu_per_electron


def _psf(optics: OpticsSection) -> Psf | None:
    if optics.psf_sigma_nm is not None:
        return Gaussian(optics.psf_sigma_nm)
    if optics.na is not None and optics.wavelength_nm is not None:
        return Airy(optics.na, optics.wavelength_nm)
    return None
