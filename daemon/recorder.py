"""The recorder: its own process on the same frame stream, so that no reconstruction ever slows it.

    python -m daemon.recorder --connect ENDPOINT --folder DIR [--stream STREAM --next-seq N]

Each stream becomes NAME.tif (BigTIFF, a page a frame, described by the stream's JSON) and NAME.jsonl (a line a frame,
in the wire's field names). Both are flushed several times a second: what was recorded is readable even after a
`kill -9`. Progress goes to standard output as JSON lines; it ends when its standard input closes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO

import click
import tifffile

from daemon.children import asked_to_stop, tell
from daemon.intake import FrameSubscriber
from daemon.ledger import Ledger
from daemon.protocol.codec import MalformedMessageError, Received
from daemon.protocol.messages import FrameHeader, Heartbeat
from selfstorm.frames import Array, StreamInfo

FLUSH_S = 0.25
TELL_S = 0.5
DRAIN_S = 5.0
POLL_MS = 200
NM_PER_CM = 1e7


class Recording:
    """The two files of one stream, from first_seq on."""

    def __init__(self, folder: Path, info: StreamInfo, first_seq: int) -> None:
        name = time.strftime("%Y%m%d-%H%M%S") + f"-{info.stream[:8]}"
        self.path, self.info = folder / f"{name}.tif", info
        self.ledger = Ledger(info.stream, first_seq)
        self._pixels: IO[bytes] = self.path.open("xb+")
        self._index = self.path.with_suffix(".jsonl").open("x", encoding="utf-8")
        self._writer = tifffile.TiffWriter(self._pixels, bigtiff=True)
        self._flush_due_s = 0.0

    def add(self, header: FrameHeader, pixels: Array) -> None:
        """Append one frame and its line."""
        if self.ledger.frame(header.seq) is None:
            return
        per_cm = NM_PER_CM / self.info.pixel_nm if self.info.pixel_nm else None
        self._writer.write(
            pixels,
            photometric="minisblack",
            metadata=None,
            description=self.info.model_dump_json() if self.ledger.received == 1 else None,
            resolution=(per_cm, per_cm) if per_cm else None,
            resolutionunit="CENTIMETER" if per_cm else None,
        )
        self._index.write(header.model_dump_json() + "\n")
        if time.monotonic() >= self._flush_due_s:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._pixels.flush()
        self._index.flush()
        self._flush_due_s = time.monotonic() + FLUSH_S

    def close(self) -> None:
        """Finish both files; an empty recording leaves none."""
        self._writer.close()
        self._pixels.close()
        self._index.close()
        if not self.ledger.received:
            self.path.unlink()
            self.path.with_suffix(".jsonl").unlink()


class Recorder:
    """Writes stream after stream. A full disk ends the recording, and says so.

    stream, next_seq: how far a recorder before this one came.
    """

    def __init__(self, folder: Path, stream: str, next_seq: int) -> None:
        self._folder, self._stream, self._next_seq = folder, stream, next_seq
        self._recording: Recording | None = None
        self._before = {"recorded": 0, "missing": 0}
        self._tell_due_s = 0.0

    def take(self, received: Received) -> None:
        """One message of the frame stream."""
        message, recording = received.message, self._recording
        if isinstance(message, StreamInfo):
            if recording is None or recording.info.stream != message.stream:
                self.close()
                first_seq = self._next_seq if message.stream == self._stream else 0
                self._recording, self._stream = Recording(self._folder, message, first_seq), message.stream
        elif recording is not None and getattr(message, "stream", "") == recording.info.stream:
            if isinstance(message, FrameHeader) and received.pixels is not None:
                recording.add(message, received.pixels)
            elif isinstance(message, Heartbeat):
                recording.ledger.reached(message.next_seq)
                recording.flush()
            self._next_seq = recording.ledger.next_seq

    def tell(self, *, now: bool = False) -> None:
        """Say how far the recording is, twice a second."""
        if now or time.monotonic() >= self._tell_due_s:
            self._tell_due_s = time.monotonic() + TELL_S
            file = str(self._recording.path) if self._recording else ""
            tell(file=file, stream=self._stream, next_seq=self._next_seq, **self._counts())

    def close(self) -> None:
        """Finish the running recording."""
        if self._recording is not None:
            self._before = self._counts()
            recording, self._recording = self._recording, None
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
@click.option("--stream", default="", help="What was recorded of this stream before NEXT-SEQ is not missing.")
@click.option("--next-seq", type=int, default=0)
def main(endpoint: str, folder: Path, stream: str, next_seq: int) -> None:
    """Record a frame stream until standard input closes."""
    stop = asked_to_stop()
    recorder = Recorder(folder, stream, next_seq)
    try:
        with FrameSubscriber(endpoint) as subscriber:
            recorder.tell(now=True)
            while not stop.is_set():
                _step(subscriber, recorder)
                recorder.tell()
            deadline = time.monotonic() + DRAIN_S
            while _step(subscriber, recorder) and time.monotonic() < deadline:
                pass
        recorder.close()
        recorder.tell(now=True)
    except OSError as error:
        tell(error=f"{folder}: {error.strerror}")
        sys.exit(3)


def _step(subscriber: FrameSubscriber, recorder: Recorder) -> bool:
    """Take one message; False when none came, or the source says that none will."""
    try:
        received = subscriber.receive(POLL_MS)
    except MalformedMessageError:
        return True
    if received is None:
        return False
    recorder.take(received)
    return getattr(received.message, "state", "") != "ended"


if __name__ == "__main__":
    main()
