"""Micro-Manager's live mode, followed frame by frame.

No image is taken out of Micro-Manager's buffer.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from daemon.sources.camera import TICK_S, CameraFrame, Lost, SourceEvent, Waiting
from daemon.sources.camera_clock import CameraClock
from daemon.sources.field import (
    CameraField,
    UnusableFieldError,
    changes,
    check_camera,
    describe,
    field_of,
    settings_of,
)
from daemon.sources.image_buffer import BufferedImage, ImageBuffer, ImagesChangedError
from daemon.sources.losses import LossCause
from daemon.sources.tail import Tail

POLL_S = 0.003
SETTINGS_S = 0.25
RUNNING_S = 0.1
COUNTS = 3
CLOCK_CALLS = 64
PRESS_LIVE = "live mode: press Live in Micro-Manager"
STOPPED = "live mode has stopped: press Live in Micro-Manager"
NO_FRAME = "live mode: no frame has come yet"
RESTARTED = "live mode was restarted, or its buffer emptied: frames between are estimated by the camera's clock"
CHANGED = "the camera, its region or its pixel type was changed in Micro-Manager: images that were left cannot be read"
TAKEN = (
    "another program, or an acquisition, takes the images out of Micro-Manager's buffer: let it save them, and follow "
    'its data set (uri = "ndtiff:DIR")'
)


class LiveMode:
    """The frames that an attached core shows in live mode.

    Args:
        core: pycromanager's Core, or what has its methods.
        source: the source's URI.
        stop: ends it.
        clock: seconds that pass, for a simulation.
    """

    def __init__(
        self, core: Any, source: str, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._core, self._source, self._stop, self._clock = core, source, stop, clock
        self._core_clock = _CoreClock()
        self._broken_off: _Unseen | None = None

    def attach(self, core: Any) -> None:
        """Go on with another connection to the core, after the last one failed."""
        self._core = core

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of every sequence, until stopped."""
        unseen: _Unseen | None = None  # frames of the last sequence, until the next one shows when that had ended
        first, why = None, PRESS_LIVE  # the user who attaches to a running live mode wants to see the present
        while not self._stop.is_set():
            buffer = self._running_buffer()
            if unusable := self._unusable():
                yield Waiting(unusable)
                self._stop.wait(TICK_S)
            elif buffer is None:
                if self._broken_off is not None:
                    unseen, self._broken_off = self._broken_off, None
                if unseen is not None and (count := unseen.at_the_end(self._clock())):
                    yield Lost(count, LossCause.RESTARTED)
                unseen = None
                yield Waiting(why)
                self._stop.wait(TICK_S)
            else:
                yield Waiting(NO_FRAME)
                sequence = self._sequence(buffer, first, unseen)
                try:
                    yield from sequence.events()
                except Exception:  # of the bridge: the sequence may go on
                    self._broken_off = _Unseen(sequence.tail, self._clock())
                    raise
                why, unseen = STOPPED, sequence.unseen
            first = 0

    def _sequence(self, buffer: ImageBuffer, first: int | None, unseen: _Unseen | None) -> _Sequence:
        """Begin a sequence, or go on with the one at which the bridge failed."""
        stream = _Stream(self._core, self._source, self._clock)
        broken_off, self._broken_off = self._broken_off, None
        sequence = _Sequence(stream, buffer, first, self._stop, self._clock, self._core_clock, unseen)
        if broken_off is not None:
            sequence.go_on_with(broken_off)
        return sequence

    def _unusable(self) -> str:
        """Return why the camera's images are unusable; empty if they are not."""
        try:
            check_camera(self._core)
        except UnusableFieldError as error:
            return str(error)
        return ""

    def _running_buffer(self) -> ImageBuffer | None:
        """Return the buffer of a running sequence; None where none runs.

        The sequence must run both before and after the size of its images is queried.
        """
        if not self._core.is_sequence_running():
            return None
        buffer = ImageBuffer(self._core)
        return buffer if buffer.is_running() else None


class _Unseen(NamedTuple):
    """A sequence that took frames after its last known one.

    Attributes:
        tail: of the sequence.
        until_s: time by which the sequence had ended.
    """

    tail: Tail
    until_s: float

    def at_the_end(self, now_s: float) -> int:
        """Estimate the frames that were not seen, where no sequence runs now.

        Those of a sequence that began after this one, and has stopped as well, are among them.
        """
        return self.tail.unseen(min(self.until_s, now_s)) + self.tail.next_images + self.tail.waiting


class _CoreClock:
    """The clock of the core's computer, as ours.

    A call answers after the image was received: the earliest answer of the last images shows how the clocks differ.
    """

    def __init__(self) -> None:
        self._differences_s: deque[float] = deque(maxlen=CLOCK_CALLS)

    def ours(self, received_s: float | None, answered_s: float) -> float | None:
        """Convert the time of an image; None where it has none.

        Args:
            received_s: by the core's clock.
            answered_s: end of the call that found the image, by our clock.
        """
        if received_s is None:
            return None
        self._differences_s.append(answered_s - received_s)
        return received_s + min(self._differences_s)


class _Found(NamedTuple):
    """Result of fetching an image.

    Attributes:
        image: None where there was none.
        same_sequence: False where the image belongs to another sequence.
    """

    image: BufferedImage | None
    same_sequence: bool


class _Sequence:
    """One sequence of images.

    It is over once it has stopped and all of it is fetched, or when another sequence runs.
    """

    def __init__(
        self,
        stream: _Stream,
        buffer: ImageBuffer,
        first: int | None,
        stop: threading.Event,
        clock: Callable[[], float],
        core_clock: _CoreClock,
        before: _Unseen | None,
    ) -> None:
        self._buffer, self._stop, self._clock, self._core_clock = buffer, stop, clock, core_clock
        self._stream = stream
        self._tail = Tail(first, buffer.capacity())
        self._until_s = math.inf
        self._stopped, self._ran_s = False, clock()
        self._over = False
        self._taken = False  # by another program
        self._before = before
        self.unseen: _Unseen | None = None

    @property
    def tail(self) -> Tail:
        """Position in the buffer."""
        return self._tail

    def go_on_with(self, broken_off: _Unseen) -> None:
        """Go on at the position at which the bridge failed.

        Another sequence may run now: Micro-Manager may have been closed meanwhile, so nothing is known of that time.
        """
        self._tail, self._until_s = broken_off.tail, broken_off.until_s
        self._tail.reattached()

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of the sequence, until it is over."""
        tail = self._tail
        while not (self._stop.is_set() or self._over):
            if tail.must_count:
                yield from self._settle()
                continue
            distance = tail.distance(self._clock())
            if distance is not None:
                yield from self._fetch(distance)
            elif tail.caught_up:
                yield from self._poll()
            else:  # a better moment for a hole
                self._stop.wait(min(POLL_S, tail.period_s / 4))
                yield None
            yield from self._pass_on()  # images may have been given up, too
            self._note_the_end()

    def _note_the_end(self) -> None:
        """Ask now and then whether the sequence runs, while images are fetched.

        If another one begins before all of them are, this is when it had ended.
        """
        now_s = self._clock()
        if self._until_s == math.inf and now_s - self._ran_s > RUNNING_S:
            if self._buffer.is_running():
                self._ran_s = now_s
            else:
                self._until_s = self._clock()

    def _fetch(self, distance: int) -> Iterator[SourceEvent]:
        try:
            found = self._look(distance)
        except ImagesChangedError:
            yield from self._end_changed()
        else:
            yield from self._follow(found)
        yield None

    def _look(self, distance: int) -> _Found:
        """Fetch one image.

        Raises:
            ImagesChangedError: the image cannot be read.
        """
        tail, sent_s = self._tail, self._clock()
        image = self._buffer.image(distance, tail.kept)
        answered_s, same_sequence = self._clock(), True
        tail.took(sent_s, answered_s)
        if image is None:
            tail.gone()
        else:
            received_s = self._core_clock.ours(image.received_s, answered_s)
            same_sequence = tail.found(image.number, image, distance, sent_s, image.camera_ms, received_s)
        return _Found(image, same_sequence)

    def _follow(self, found: _Found) -> Iterator[SourceEvent]:
        if not found.same_sequence:
            yield from self._end_restarted()
        elif found.image is not None:
            yield from self._estimate_unseen()
            yield from self._pass_on()

    def _estimate_unseen(self) -> Iterator[SourceEvent]:
        """Estimate the unseen frames of the sequence before this one.

        The first image of this sequence shows when that one had ended.
        """
        before, self._before = self._before, None
        if before is not None:
            began_s = self._tail.began_s or self._clock()
            if count := before.tail.unseen(min(began_s, before.until_s)):
                yield Lost(count, LossCause.RESTARTED)

    def _poll(self) -> Iterator[SourceEvent]:
        """Wait for a new image, or for the end of the sequence."""
        tail, known = self._tail, self._tail.newest
        tail.counted(self._buffer.images(), self._clock())
        if tail.must_count or tail.searches_newest or tail.newest != known:
            self._stopped = False
            return
        if self._stopped:
            if self._taken and (unseen := tail.unseen(self._ran_s)):
                yield Lost(unseen, LossCause.TAKEN)
            self._over = True
            return
        self._watch_for_stop()
        self._stop.wait(POLL_S)
        yield None

    def _settle(self) -> Iterator[SourceEvent]:
        """Find the newest image and count the rest, after images are gone."""
        if self._buffer.images() == 0:
            if self._stopped:
                yield from self._end_emptied()
                return
            self._watch_for_stop()
            self._stop.wait(POLL_S)
            yield None
            return
        self._stopped = False
        try:
            found, images, within_s = self._newest_and_count()
        except ImagesChangedError:
            yield from self._end_changed()
            return
        taken = False
        if found.image is not None and found.same_sequence:
            taken = self._tail.settled(images, within_s) is LossCause.TAKEN
        if taken and not self._taken:
            self._taken = True
            yield Waiting(TAKEN)
        yield from self._follow(found)
        yield None

    def _newest_and_count(self) -> tuple[_Found, int, float]:
        """Find the newest image, and count the images with it.

        It is repeated where an image came in between.

        Returns:
            The image, the number of images, and the time that both together took.
        """
        images = self._buffer.images()
        for _ in range(COUNTS):
            before, begun_s = images, self._clock()
            found, images = self._look(0), self._buffer.images()
            within_s = self._clock() - begun_s
            if found.image is None or not found.same_sequence or images == before:
                break
        return found, images, within_s

    def _watch_for_stop(self) -> None:
        self._stopped = not self._buffer.is_running()
        if not self._stopped:
            self._ran_s = self._clock()

    def _pass_on(self) -> Iterator[SourceEvent]:
        for item in self._tail.ready():
            if isinstance(item, Lost):
                yield from self._stream.lost(item)
            else:
                yield from self._stream.taken(item)

    def _end_changed(self) -> Iterator[SourceEvent]:
        """End the sequence: its last images cannot be read any more.

        They are counted as lost.
        """
        tail = self._tail
        running = self._buffer.is_running()
        if not (running or self._taken):
            tail.counted(self._buffer.images(), self._clock(), last=True)
        if running or tail.must_count or self._taken:  # more frames came than are known of
            self.unseen = _Unseen(tail, self._until_s if running else min(self._until_s, self._clock()))
        tail.give_up_all(LossCause.CHANGED)
        yield from self._pass_on()
        yield Waiting(CHANGED)
        self._over = True

    def _end_restarted(self) -> Iterator[SourceEvent]:
        """End the sequence: another one runs.

        This one ended before that began, at an unknown time.
        """
        self._tail.give_up_all(LossCause.RESTARTED)
        yield from self._pass_on()
        yield Waiting(RESTARTED)
        began_s = self._tail.next_began_s
        self.unseen = _Unseen(self._tail, min(self._until_s, math.inf if began_s is None else began_s))
        self._over = True

    def _end_emptied(self) -> Iterator[SourceEvent]:
        """End the sequence: it has stopped, and its buffer was emptied."""
        tail = self._tail
        cause = LossCause.TAKEN if self._taken else LossCause.RESTARTED
        tail.give_up_all(cause)
        yield from self._pass_on()
        if unseen := tail.unseen(self._ran_s):
            yield Lost(unseen, cause)
        self._over = True


class _Stream:
    """Stream of a sequence's images.

    A new stream begins as soon as the field or the settings change.
    """

    def __init__(self, core: Any, source: str, clock: Callable[[], float]) -> None:
        self._core, self._source, self._clock = core, source, clock
        self._field: CameraField | None = None
        self._settings, self._asked_s = settings_of(core), clock()
        self._camera_clock = CameraClock()
        self._lost: list[Lost] = []  # before the stream could be described

    def lost(self, loss: Lost) -> Iterator[SourceEvent]:
        """Report images before the next one as lost."""
        if self._field is None:
            self._lost.append(loss)
        else:
            yield loss

    def taken(self, image: BufferedImage) -> Iterator[SourceEvent]:
        """Pass on the next image.

        It begins a new stream if a property of the images has changed.
        """
        field = field_of(image.tags)
        if self._field is None or (what := self._changed(field)):
            if self._field is not None:
                yield Waiting(f"a new stream begins: changed in Micro-Manager: {what}")
            self._field, self._settings, self._camera_clock = None, settings_of(self._core), CameraClock()
            try:
                info = describe(self._core, self._source, field, self._settings)
            except UnusableFieldError as error:
                yield Waiting(str(error))
                return
            yield info
            self._field = field
            yield from self._lost
            self._lost = []
        if image.pixels is None:
            raise RuntimeError("an image was passed on that was not fetched")
        yield CameraFrame(image.pixels.reshape(field.height, field.width), image.number, image.camera_ms)
        if inside := self._camera_clock.passed(image.number, image.camera_ms):
            yield Lost(inside, LossCause.IN_CAMERA)

    def _changed(self, field: CameraField) -> str:
        if self._field is not None and field != self._field:
            return changes(self._field, field)
        if self._clock() - self._asked_s < SETTINGS_S:
            return ""
        self._asked_s = self._clock()
        return changes(self._settings, settings_of(self._core))
