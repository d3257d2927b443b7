"""Recording on demand.

It is started and stopped by the configuration or by a request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from daemon.config import CameraSection
from daemon.drive_work import DriveWork
from daemon.health import Health
from daemon.recording.supervisor import Reached, RecorderSupervisor
from daemon.transport.child_process import STOP_S
from selfstorm.io.atomic_files import make_folder

OTHER_FOLDER = "choose another folder to record into"


class RecordingController:
    """Controls at most one recorder, from any thread.

    The main loop's `check` starts and stops it.

    Args:
        folder: parent of the folders of requested recordings.
        health: takes the account of the recording, and events.
        reached: returns the state of the receiver.
        key: for frames from another machine.
        camera: returns what the user gives of the camera; it is written with the frames.
    """

    def __init__(
        self,
        folder: Path,
        health: Health,
        reached: Callable[[], Reached] = Reached,
        *,
        key: Path | None = None,
        camera: Callable[[], CameraSection] = CameraSection,
    ) -> None:
        self._folder, self._health, self._reached, self._key = folder, health, reached, key
        self._camera = camera
        self._lock = threading.Lock()
        self._wanted: Path | None = None
        self._late, self._whole = True, False
        self._recorder: RecorderSupervisor | None = None
        self._recorded_in: Path | None = None
        self._drive = DriveWork("recording folder")
        self._ending: threading.Thread | None = None  # waits for a recorder that was asked to end

    def start(self, folder: Path | None = None, *, late: bool = True) -> Path:
        """Request a recording of the raw frames.

        Args:
            folder: None for a new one.
            late: the first stream may have begun before.

        Returns:
            Folder of the recording; of the running one if there is one.

        Raises:
            InputError: the folder cannot be made, or its drive does not answer.
        """
        with self._lock:
            if self._wanted is not None and not self._stopped:
                return self._wanted
        wanted = folder or self._folder / f"recording-{datetime.now():%Y%m%d-%H%M%S-%f}"
        if folder is None:
            self._drive.do(lambda: make_folder(wanted, OTHER_FOLDER), self._folder)
        else:
            make_folder(wanted, OTHER_FOLDER)
        with self._lock:
            self._wanted, self._late, self._whole = wanted, late, folder is not None
        if folder is None:
            self._health.event("info", "recording_started", f"into {wanted}")
        return wanted

    def stop(self) -> Path | None:
        """Stop recording; an event reports when the recorded files are finished.

        Returns:
            Folder of the recording; None where nothing is recorded.
        """
        with self._lock:
            folder, self._wanted = self._wanted, None
            if folder is not None and folder != self._recorded_in:
                self._report_end(0, folder)  # no recorder has begun
            return folder

    @property
    def wanted(self) -> bool:
        """True if a recorder runs, or will after the next check."""
        return self._wanted is not None and not self._stopped

    @property
    def _stopped(self) -> bool:
        recorder = self._recorder
        return recorder is not None and recorder.stopped and self._wanted == self._recorded_in

    def check(self, endpoint: str) -> None:
        """Start, restart or end the recorder.

        It returns at once: a recorder that writes its last frames, or hangs, is waited for in a thread, because the
        camera is looked after by the same loop. The next recording begins after that.

        Args:
            endpoint: address of the frame stream.
        """
        if self._ending is not None and self._ending.is_alive():
            return
        with self._lock:
            wanted, late, whole = self._wanted, self._late, self._whole
        if self._recorder is not None and wanted != self._recorded_in:
            self._ending = threading.Thread(target=self._end_on_request, name="recording end", daemon=True)
            self._ending.start()
            return
        if self._recorder is None and wanted is not None:
            self._recorder = RecorderSupervisor(
                endpoint,
                wanted,
                self._health,
                self._reached,
                late=late,
                whole=whole,
                key=self._key,
                camera=self._camera(),
            )
            self._recorded_in = wanted
        if self._recorder is not None:
            self._recorder.check()  # also after it gave up: what comes is missing from the recording

    def _end_on_request(self) -> None:
        recorded, folder = self._end(final=False), self._recorded_in
        self._recorded_in = None
        self._report_end(recorded, folder)
        self._health.report(recording="")

    def _report_end(self, frames: int, folder: Path | None) -> None:
        self._health.event("info", "recording_ended", f"stopped: {frames} frame{'s' * (frames != 1)} in {folder}")

    def close(self, timeout_s: float = STOP_S) -> None:
        """End the recorder with the run, and wait until its files are finished.

        Args:
            timeout_s: time until it is killed; its files are whole up to the last frame that it wrote.
        """
        if self._ending is not None:
            self._ending.join(timeout_s)
        self._end(final=True, timeout_s=timeout_s)

    def _end(self, *, final: bool, timeout_s: float = STOP_S) -> int:
        """End the recorder, if one runs; return the frames that it recorded."""
        if self._recorder is None:
            return 0
        recorder, self._recorder = self._recorder, None
        recorder.stop(final=final, timeout_s=timeout_s)
        return recorder.recorded
