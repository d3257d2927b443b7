"""One sequence of live mode, from its first image to its last.

Every image is passed on in order, or counted as lost with the cause that the buffer shows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from daemon.sources.camera import Lost, SourceEvent, Waiting
from daemon.sources.core_clock import CoreClock
from daemon.sources.image_buffer import BufferedImage, ImageBuffer, ImagesChangedError
from daemon.sources.live_stream import LiveStream
from daemon.sources.losses import LossCause
from daemon.sources.sequence_identity import UNWATCHED_S, SeenImage
from daemon.sources.tail import Tail
from daemon.sources.unseen_frames import RestartAccount, UnseenFrames

POLL_S, MAX_POLL_S, POLL_SHARE = 0.003, 0.02, 0.25  # between two questions, and the share of the time between images
WATCH_S = 0.02  # between two questions whether the sequence runs
RUNNING_S = 0.1
COUNTS = 3
SILENT_S, SILENT_PERIODS = 1.5, 4  # without a frame, until that is said
SILENT = "live mode: the camera runs, and gives no frame: it waits for a trigger, or has failed"
RESTARTED = "live mode was restarted, or its buffer emptied: frames between are estimated by the camera's clock"
CHANGED = "the camera, its region or its pixel type was changed in Micro-Manager: images that were left cannot be read"
TAKEN = (
    "another program, or an acquisition, takes the images out of Micro-Manager's buffer: let it save them, and follow "
    'its data set (uri = "ndtiff:DIR")'
)


class _Found(NamedTuple):
    """Result of fetching an image.

    Attributes:
        image: None where there was none.
        same_sequence: False where the image belongs to another sequence.
    """

    image: BufferedImage | None
    same_sequence: bool


class LiveSequence:
    """One sequence of images.

    It is over once it has stopped and all of it is fetched, or when another sequence runs.

    Args:
        stream: takes the images.
        buffer: of the sequence.
        first: number of the first image to fetch; None for the newest.
        stop: ends it.
        clock: seconds that pass.
        core_clock: of the core's computer.
        account: of the frames before the first image.

    Attributes:
        stream: that takes its images.
        unseen: frames of this sequence that the next one must account for.
    """

    def __init__(
        self,
        stream: LiveStream,
        buffer: ImageBuffer,
        first: int | None,
        stop: threading.Event,
        clock: Callable[[], float],
        core_clock: CoreClock,
        account: RestartAccount,
    ) -> None:
        self._buffer, self._stop, self._clock, self._core_clock = buffer, stop, clock, core_clock
        self.stream = stream
        self._capacity = buffer.capacity()
        self._tail = Tail(first, self._capacity)
        self._until_s = math.inf
        self._stopped, self._ran_s = False, clock()
        self._sent_s = self._passed_s = self._ran_s  # of the last call for an image, and of the last frame
        self._over = False
        self._taken = False  # by another program
        self._emptied = False  # while images were counted, maybe by a restart: they are counted once more
        self._account = account
        self.unseen: UnseenFrames | None = None

    @property
    def tail(self) -> Tail:
        """Position in the buffer."""
        return self._tail

    def go_on_with(self, broken_off: UnseenFrames) -> None:
        """Go on at the position at which the bridge failed.

        Another sequence may run now: Micro-Manager may have been closed meanwhile, so nothing is known of that time.
        """
        self._tail, self._until_s = broken_off.tail, broken_off.until_s
        self._tail.reattached()

    def began_with(self, seen: SeenImage) -> None:
        """Learn of an image of this sequence that was seen before."""
        self._tail.began_with(seen)
        self._account.found(*seen)

    def events(self) -> Iterator[SourceEvent]:
        """Yield the events of the sequence, until it is over."""
        tail = self._tail
        while not (self._stop.is_set() or self._over):
            if tail.must_count and not tail.in_doubt:
                yield from self._settle()
                continue
            distance = tail.distance(self._clock())
            if distance is not None:
                yield from self._fetch(distance)
            elif tail.caught_up:
                yield from self._poll()
            else:  # a better moment for a hole
                if tail.saves_looks:
                    tail.counted(self._buffer.images(), self._clock())
                self._stop.wait(min(POLL_S, tail.period_s / 4))
                yield None
            yield from self._pass_on()  # images may have been given up, too
            self._note_the_end()
        if self._over:
            yield from self._account.close(tail, self._clock())
        yield from self.stream.close()

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
        except ImagesChangedError as error:
            yield from self._end_changed(error.image, distance)
        else:
            yield from self._follow(found)
        yield None

    def _look(self, distance: int) -> _Found:
        """Fetch one image.

        Raises:
            ImagesChangedError: the image cannot be read.
        """
        tail, sent_s = self._tail, self._clock()
        self._sent_s = sent_s
        image = self._buffer.image(distance, tail.kept)
        answered_s, same_sequence = self._clock(), True
        tail.took(sent_s, answered_s)
        if image is None:
            tail.gone()
        else:
            stamp = self._core_clock.stamp(image, distance, answered_s)
            same_sequence = tail.found(stamp, image, distance, sent_s)
            self._account.found(stamp, distance, sent_s)
            if same_sequence and sent_s > self._until_s and not tail.in_doubt:  # it had ended, so no image came since
                self._until_s = min(self._until_s, tail.newest_s)
        return _Found(image, same_sequence)

    def _follow(self, found: _Found) -> Iterator[SourceEvent]:
        yield from self._account.losses(self._tail)
        if not found.same_sequence:
            yield from self._end_restarted()
        elif found.image is not None:
            yield from self._pass_on()

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
        if self._clock() - self._ran_s > WATCH_S:
            self._watch_for_stop()
        period_s = tail.steady_period_s
        if period_s and not self._stopped and self._clock() - self._passed_s > max(SILENT_S, SILENT_PERIODS * period_s):
            yield Waiting(SILENT)
        self._stop.wait(min(max(POLL_S, tail.period_s * POLL_SHARE), MAX_POLL_S))
        yield None

    def _settle(self) -> Iterator[SourceEvent]:
        """Find the newest image and count the rest, after images are gone."""
        if (images := self._buffer.images()) == 0:
            if self._stopped:
                yield from self._end_emptied()
                return
            self._watch_for_stop()
            self._stop.wait(POLL_S)
            yield None
            return
        self._stopped = False
        self._tail.counted_in_doubt(images, self._clock())
        try:
            found, images, within_s = self._newest_and_count(images)
        except ImagesChangedError as error:
            yield from self._end_changed(error.image, 0)
            return
        taken = False
        if found.image is not None and found.same_sequence and not (self._tail.in_doubt or self._emptied):
            taken = self._tail.settled(images, within_s) is LossCause.TAKEN
        if taken and not self._taken:
            self._taken = True
            yield Waiting(TAKEN)
        yield from self._follow(found)
        yield None

    def _newest_and_count(self, images: int) -> tuple[_Found, int, float]:
        """Find the newest image, and count the images with it.

        It is repeated where an image came in between.

        Args:
            images: in the buffer a moment ago.

        Returns:
            The image, the number of images, and the time that both together took.
        """
        for _ in range(COUNTS):
            before, begun_s = images, self._clock()
            found, answered_s, images = self._look(0), self._clock(), self._buffer.images()
            within_s = self._clock() - begun_s
            if found.image is None or not found.same_sequence or self._tail.in_doubt:
                break
            if images == before:
                self._tail.end.still_s = answered_s
                break
        self._emptied = images < before and not self._emptied
        return found, images, within_s

    def _watch_for_stop(self) -> None:
        self._stopped = not self._buffer.is_running()
        if not self._stopped:
            self._ran_s = self._clock()

    def _pass_on(self) -> Iterator[SourceEvent]:
        for item in self._tail.ready():
            if isinstance(item, Lost):
                yield from self.stream.lost(item)
            else:
                self._passed_s = self._clock()
                yield from self.stream.taken(item)

    def _end_changed(self, image: BufferedImage | None, distance: int) -> Iterator[SourceEvent]:
        """End the sequence: its last images cannot be read any more.

        They are counted as lost.

        Args:
            image: that showed the change, without pixels; None where the change showed before it was fetched.
            distance: of the image.
        """
        yield from self._account.close(self._tail, self._clock())
        tail = self._tail
        running, images = self._buffer.is_running(), self._buffer.images()
        now_s = self._clock()
        until_s = self._until_s if running else min(self._until_s, now_s)
        if image is not None and tail.unreadable(
            self._core_clock.stamp(image, distance, now_s), distance, self._sent_s
        ):
            until_s = min(until_s, tail.end.next_began_s or now_s)
            self.unseen = UnseenFrames(tail, until_s)
        elif not running and self._buffer.capacity() != self._capacity:  # made again, for another sequence
            tail.end.next_images = images
            self.unseen = UnseenFrames(tail, min(until_s, now_s - images * tail.period_s))
        elif not (running or self._taken):
            tail.counted(images, now_s, last=True)
        if self.unseen is None and (running or tail.must_count or self._taken):  # more came than are known of
            self.unseen = UnseenFrames(tail, until_s)
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
        began_s = self._tail.end.next_began_s
        self.unseen = UnseenFrames(self._tail, min(self._until_s, math.inf if began_s is None else began_s))
        self._over = True

    def _end_emptied(self) -> Iterator[SourceEvent]:
        """End the sequence: it has stopped, and its buffer was emptied."""
        tail = self._tail
        cause = LossCause.TAKEN if self._taken else LossCause.RESTARTED
        tail.give_up_all(cause)
        yield from self._pass_on()
        now_s = self._clock()
        # After a pause, it may have ended at any time since it was known to run: rather too many than in no account.
        if unseen := tail.unseen(now_s if now_s - self._ran_s > UNWATCHED_S else self._ran_s):
            yield Lost(unseen, cause)
        self._over = True
