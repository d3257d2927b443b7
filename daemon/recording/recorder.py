"""Recorder of the raw frames, in a process of its own.

It subscribes to the frame stream, so that no reconstruction ever slows it.

    python -m daemon.recording.recorder --connect ENDPOINT --folder DIR [--stream S --next-seq N] [--key FILE] [--late]
        [--pixel-nm NM] [--offset-adu ADU] [--gain ADU]

Each stream becomes NAME.tif (BigTIFF, a page a frame, described by the stream's JSON) and NAME.jsonl (a line a frame,
in the wire's field names). Both are complete after every frame: a recording is readable after a `kill -9` and on a
full disk. What the user gives of the camera wins over its own report, as in the run: a replay has the same scale. The
replaced values stay in the description, as `reported`.

Progress goes to standard output as JSON lines; it ends when its standard input closes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import click
import numpy as np

from daemon.ingest.sequence_ledger import Ledger
from daemon.protocol.codec import MalformedMessageError, Received
from daemon.protocol.messages import FrameHeader, Heartbeat
from daemon.rate_limit import RateLimit
from daemon.transport.child_process import send_line, stop_requested
from daemon.transport.frame_subscriber import FrameSubscriber
from selfstorm.errors import InputError
from selfstorm.frames import Array, StreamInfo
from selfstorm.io.big_tiff import AppendFile, BigTiff

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.5
MAX_NUMBER = 2**63  # of a frame: readers keep them as 64-bit integers
DRAIN_S = 5.0
MAX_EARLIER = 64  # streams whose position is kept while another one runs
FILES_HZ, FILES_AT_ONCE = 1.0, 100.0  # streams that may begin; a program gone wild would fill the folder with files
POLL_MS = 200


class Recording:
    """The two files of one stream, from first_seq on.

    Args:
        folder: for the files.
        info: as the camera describes the stream.
        first_seq: number of the first frame.
        given: values of the description that the user gave, which win.
    """

    def __init__(
        self, folder: Path, info: StreamInfo, first_seq: int, given: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self.path, self.info = _free_name(folder, info.stream), info.model_copy(update=given)
        reported = {"reported": info.model_dump(include=set(given))} if given else {}
        self._description = json.dumps(self.info.model_dump() | reported)
        self.ledger = Ledger(info.stream, first_seq)
        index = self.path.with_suffix(".jsonl")
        self._index = AppendFile(index)  # first: readers pass over an index alone, not over pixels alone
        try:
            self._pixels = BigTiff(self.path, pixel_nm=self.info.pixel_nm)
        except BaseException:
            self._index.close()
            index.unlink()
            raise

    def add(self, header: FrameHeader, pixels: Array) -> None:
        """Append one frame, then its line in the index.

        Raises:
            OSError: the disk is full, or gone; the frames before stay readable.
        """
        if header.seq < self.ledger.next_seq:
            return
        self._pixels.add(pixels, "" if self._pixels.pages else self._description)
        self._index.add(header.model_dump_json().encode() + b"\n")
        self.ledger.frame(header.seq)

    def fits(self, header: FrameHeader) -> bool:
        """Return whether a frame belongs into this file.

        One of another shape or type would make the file unreadable.
        """
        info = self.info
        same = (header.shape, header.dtype) == ((info.height, info.width), info.dtype)
        return same and max(header.seq, header.number, header.sent_unix_ns) < MAX_NUMBER

    def check_files(self) -> None:
        """Check that the files still exist.

        Raises:
            OSError: they were removed; whatever is written into them then is lost.
        """
        for path in (self.path, self.path.with_suffix(".jsonl")):
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, f"{path.name} was removed while it was written")

    def close(self) -> None:
        """Close both files; an empty recording leaves none."""
        self._pixels.close()
        self._index.close()
        if not self._pixels.pages:
            self.path.unlink()
            self.path.with_suffix(".jsonl").unlink()


class Unrecorded:
    """Account of a stream that gets no file; its frames are missing."""

    path = ""

    def __init__(self, info: StreamInfo, first_seq: int) -> None:
        self.info, self.ledger = info, Ledger(info.stream, first_seq)

    def add(self, header: FrameHeader, pixels: Array) -> None:
        """Count the frame as missing."""
        self.ledger.reached(header.seq + 1)

    def fits(self, header: FrameHeader) -> bool:
        """Accept any frame."""
        return True

    def check_files(self) -> None:
        """Check nothing."""

    def close(self) -> None:
        """Close nothing."""


class Recorder:
    """Writes stream after stream.

    A full disk ends the recording, with an error.

    Args:
        folder: for the files.
        stream: the stream that a recorder before this one recorded.
        next_seq: the frame up to which it did.
        late: the first stream may have begun before.
        given: values of a stream's description that the user gave, which win.
    """

    def __init__(
        self,
        folder: Path,
        stream: str,
        next_seq: int,
        *,
        late: bool = False,
        given: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._folder, self._stream, self._next_seq, self._late = folder, stream, next_seq, late
        self._given = given
        self._recording: Recording | Unrecorded | None = None
        self._files, self._refused_streams = RateLimit(FILES_HZ, FILES_AT_ONCE), 0
        self._described: StreamInfo | None = None
        self._positions = {stream: next_seq}  # of streams that may go on after another one
        self._before = {"recorded": 0, "missing": 0}
        self._report_due_s = 0.0

    def take(self, received: Received) -> None:
        """Record one message of the frame stream."""
        message = received.message
        if isinstance(message, StreamInfo):
            if self._described is None or self._described.stream != message.stream:
                self.close()
                self._described = message
                if not self._late:
                    self._begin(message, self._positions.pop(message.stream, 0))
        elif self._described is not None and isinstance(message, FrameHeader | Heartbeat):
            if message.stream != self._described.stream:
                return
            recording = self._recording or self._begin(self._described, _position(message))
            if not recording.ledger.is_plausible(_position(message)):
                return
            if isinstance(message, FrameHeader) and received.pixels is not None:
                if not recording.fits(message):
                    return  # counted as missing with the next frame
                recording.add(message, received.pixels)
            elif isinstance(message, Heartbeat):
                recording.ledger.reached(message.next_seq)
            self._next_seq = recording.ledger.next_seq

    def _begin(self, info: StreamInfo, first_seq: int) -> Recording | Unrecorded:
        recording: Recording | Unrecorded
        if self._files.allows(b""):
            recording = Recording(self._folder, info, first_seq, self._given)
        else:
            recording, self._refused_streams = Unrecorded(info, first_seq), self._refused_streams + 1
        self._recording, self._stream, self._next_seq, self._late = recording, info.stream, first_seq, False
        self._report_due_s = 0.0  # a recorder that is killed is counted by the file that it named
        return recording

    def report(self, *, now: bool = False) -> None:
        """Send the counts to the daemon, twice a second."""
        if now or time.monotonic() >= self._report_due_s:
            self._report_due_s = time.monotonic() + REPORT_INTERVAL_S
            if self._recording is not None and not now:
                self._recording.check_files()
            file = str(self._recording.path) if self._recording else ""
            fits = frames_that_fit(self._folder, self._recording.info) if self._recording else None
            in_file = self._recording.ledger.received if self._recording else 0
            counts = self._counts() | {"refused_streams": self._refused_streams, "frames_that_fit": fits}
            send_line(file=file, in_file=in_file, stream=self._stream, next_seq=self._next_seq, **counts)

    def close(self) -> None:
        """Finish the running recording."""
        if self._recording is not None:
            self._before = self._counts()
            recording, self._recording = self._recording, None
            if len(self._positions) >= MAX_EARLIER:
                self._positions.pop(next(iter(self._positions)))
            self._positions[recording.info.stream] = recording.ledger.next_seq
            recording.close()

    def _counts(self) -> dict[str, int]:
        ledger = self._recording.ledger if self._recording else None
        return {
            "recorded": self._before["recorded"] + (ledger.received if ledger else 0),
            "missing": self._before["missing"] + (ledger.missing if ledger else 0),
        }


@click.command()
@click.option("--connect", "endpoint", required=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--stream", default="", help="Stream that is recorded up to NEXT-SEQ already.")
@click.option("--next-seq", type=int, default=0)
@click.option("--key", type=click.Path(path_type=Path), help="The key file for a publisher beyond loopback.")
@click.option("--late", is_flag=True, help="Earlier frames of the first stream are not missing.")
@click.option("--pixel-nm", type=float, help="Wins over the stream's own, as do the next two.")
@click.option("--offset-adu", type=float)
@click.option("--gain", "gain_adu_per_electron", type=float)
def main(
    endpoint: str, folder: Path, stream: str, next_seq: int, key: Path | None, late: bool, **given: float | None
) -> None:
    """Record a frame stream until standard input closes."""
    stop = stop_requested()
    values = {name: value for name, value in given.items() if value is not None}
    recorder = Recorder(folder, stream, next_seq, late=late, given=values)
    try:
        with FrameSubscriber(endpoint, key=key) as subscriber:
            recorder.report(now=True)
            while not stop.is_set():
                _step(subscriber, recorder)
                recorder.report()
            deadline = time.monotonic() + DRAIN_S
            while _step(subscriber, recorder) and time.monotonic() < deadline:
                pass
        recorder.close()
        recorder.report(now=True)
    except InputError as error:
        send_line(error=str(error))
        sys.exit(2)
    except OSError as error:
        recorder.report(now=True)
        with contextlib.suppress(OSError):
            recorder.close()
        send_line(error=f"{folder}: {error.strerror}; what was recorded before is readable")
        sys.exit(3)


def frames_that_fit(folder: Path, info: StreamInfo) -> int | None:
    """Count the frames that still fit on a disk; None where unknown."""
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:
        return None
    return free_bytes // (info.height * info.width * np.dtype(info.dtype).itemsize)


def _free_name(folder: Path, stream: str) -> Path:
    """Choose NAME.tif for a recording that begins now.

    A number is added if the name is taken.
    """
    name, number = time.strftime("%Y%m%d-%H%M%S") + f"-{stream[:8]}", 1
    path = folder / f"{name}.tif"
    while path.exists() or path.with_suffix(".jsonl").exists():
        number += 1
        path = folder / f"{name}-{number}.tif"
    return path


def _position(message: FrameHeader | Heartbeat) -> int:
    return message.seq if isinstance(message, FrameHeader) else message.next_seq


def _step(subscriber: FrameSubscriber, recorder: Recorder) -> bool:
    """Record one message; False if none arrived, or the source has ended."""
    try:
        received = subscriber.receive(POLL_MS)
    except MalformedMessageError:
        return True
    if received is None:
        return False
    try:
        recorder.take(received)
    except (OSError, InputError):
        raise
    except Exception:  # one message must not end the recording; a frame is counted as missing with the next one
        log.exception("a message could not be recorded")
    return getattr(received.message, "state", "") != "ended"


if __name__ == "__main__":
    main()
