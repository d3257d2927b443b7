"""replay:PATH, a recorded movie played as if it were a camera."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from daemon.config import SourceSection
from daemon.sources.camera import Happening, Pace, Shot
from selfstorm.frames import PixelType, StreamInfo
from selfstorm.movies import MovieFile


class Replay:
    """Frames of a TIFF at `rate_hz`, or as fast as they are taken; from `resume_at`, looped if asked."""

    def __init__(self, section: SourceSection, stop: threading.Event, resume_at: int) -> None:
        self._section, self._stop = section, stop
        self._movie = MovieFile(Path(section.place))
        self._first = resume_at

    def happenings(self) -> Iterator[Happening]:
        with self._movie as movie:
            dtype: PixelType = movie.dtype  # type: ignore[assignment]  # MovieFile admits these types only
            yield StreamInfo(
                stream=uuid4().hex,
                source=self._section.uri,
                height=movie.height,
                width=movie.width,
                dtype=dtype,
                pixel_nm=movie.pixel_nm,
                rate_hz=self._section.rate_hz,
                camera=f"replay of {movie.path.name}",
            )
            pace, number = Pace(self._section.rate_hz, self._stop), self._first
            while number < movie.length or self._section.loop:
                yield from pace.waits(number - self._first)
                yield Shot(movie.frame(number % movie.length), number)
                number += 1
