"""Where to look next in a buffer that moves: no image twice, none left out, what is gone counted with its cause."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simulated_core import SimulatedCore
from test_live_mode_simulated import MAX_LOOKS_PER_FRAME, SPARE_LOOKS, follow, latency

from daemon.sources.arrivals import Arrivals
from daemon.sources.camera import Lost
from daemon.sources.core_clock import CoreClock
from daemon.sources.frame_time import frame_time_s
from daemon.sources.image_buffer import BufferedImage
from daemon.sources.losses import LossCause
from daemon.sources.sequence_end import SequenceEnd
from daemon.sources.sequence_identity import ImageTimes
from daemon.sources.tail import Tail
from daemon.sources.unseen_frames import UnseenFrames

PERIOD_S = 0.01


class Buffer:
    """Numbers in a buffer, oldest first, as a tail sees them; a look takes no time."""

    def __init__(self, tail, numbers):
        self.tail, self.numbers, self.now = tail, list(numbers), 1.0
        self.out = []

    def follow(self, looks=1000):
        """Look until there is nothing more; what came out, and the losses."""
        for _ in range(looks):
            self.now += 1e-4
            distance = 0 if self.tail.must_count else self.tail.distance(self.now)
            if distance is None:
                break
            if distance >= len(self.numbers):
                self.tail.gone()
                continue
            number = self.numbers[-1 - distance]
            self.tail.took(self.now, self.now + 1e-4)
            assert self.tail.found(ImageTimes(number, number * PERIOD_S * 1000), number, distance, self.now)
            if self.tail.must_count:
                self.tail.settled(len(self.numbers))
            self.out += self.tail.ready()
        return self.out


def test_a_tail_begins_with_the_newest_image_and_takes_every_later_one():
    buffer = Buffer(Tail(None, 1000), range(5))
    assert buffer.follow() == [4]
    buffer.numbers = list(range(9))
    buffer.tail.counted(9, buffer.now)
    assert buffer.follow() == [4, 5, 6, 7, 8]
    assert buffer.tail.caught_up


def test_a_sequence_seen_from_its_start_is_taken_from_its_first_image():
    assert Buffer(Tail(0, 1000), range(30)).follow() == list(range(30))


@pytest.mark.parametrize(
    ("oldest", "cause"), [(100, LossCause.AT_SOURCE), (200, LossCause.AT_SOURCE), (63, LossCause.TAKEN)]
)
def test_a_full_buffer_that_was_emptied_and_images_that_were_taken_are_told_apart(oldest, cause):
    buffer = Buffer(Tail(0, 100), range(50))
    buffer.follow()
    buffer.numbers = list(range(oldest, oldest + 20))
    buffer.tail.counted(20, buffer.now)
    assert buffer.follow()[50:] == [Lost(oldest - 50, cause), *range(oldest, oldest + 20)]


def test_a_newest_number_that_goes_back_is_another_sequence():
    buffer = Buffer(Tail(0, 1000), range(30))
    buffer.follow()
    assert not buffer.tail.found(ImageTimes(3, 30.0), 3, 0, buffer.now)


def test_a_camera_clock_that_began_again_unseen_is_another_sequence():
    buffer = Buffer(Tail(0, 1000), range(30))
    buffer.follow()
    buffer.tail.counted(30, buffer.now)
    buffer.tail.counted(41, buffer.now + 2.0)
    assert not buffer.tail.found(ImageTimes(40, 410.0), 40, 0, buffer.now + 2.0)


def test_an_image_that_cannot_be_read_shows_how_far_its_sequence_had_come():
    buffer = Buffer(Tail(0, 1000), range(30))
    buffer.follow()
    assert not buffer.tail.unreadable(ImageTimes(90, 900.0), 3, buffer.now + 0.6)
    buffer.tail.give_up_all(LossCause.CHANGED)
    assert list(buffer.tail.ready()) == [Lost(64, LossCause.CHANGED)]


def test_frames_after_the_last_one_seen_are_estimated_by_the_camera_s_clock():
    tail = Tail(0, 1000)
    for number in range(20):
        tail.found(ImageTimes(number, number * PERIOD_S * 1000), number, 0, 5.0 + number * PERIOD_S)
    assert tail.unseen(5.0 + 19 * PERIOD_S + 1.0) == pytest.approx(1.0 / PERIOD_S, abs=1)


@pytest.mark.parametrize(("first", "counted"), [(3, 201), (250, 0)])
def test_a_sequence_that_began_and_ended_before_the_next_one_is_counted_by_the_image_that_showed_it(first, counted):
    buffer = Buffer(Tail(0, 1000), range(30))
    buffer.follow()
    buffer.tail.another_began(ImageTimes(200, 2000.0), 0, buffer.now + 3.0)
    unseen = UnseenFrames(buffer.tail, until_s=buffer.tail.newest_s)
    assert unseen.before(ImageTimes(first, first * 10.0), 0, buffer.now + 3.1) == counted


def test_the_newest_number_is_predicted_from_earlier_calls():
    arrivals = Arrivals()
    for call in range(40):
        sent_s = call * 0.0137
        newest = int(sent_s / PERIOD_S)
        arrivals.newest_was(newest, sent_s)
        arrivals.stamped(newest, newest * PERIOD_S * 1000)
    assert arrivals.period_s == pytest.approx(PERIOD_S)
    low, high = arrivals.bounds(0.7051, newest)
    assert low <= 70 <= high <= low + 1


@settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(
    rate_hz=st.floats(10, 1000, allow_subnormal=False),
    look_s=st.floats(0.0003, 0.02, allow_subnormal=False),
    jitter=st.floats(0, 0.6, allow_subnormal=False),
    bursts=st.sampled_from([0.0, 0.02]),
    looks_in_buffer=st.integers(30, 1000),
    pause_s=st.floats(0, 2, allow_subnormal=False),
    seed=st.integers(0, 99),
)
def test_looks_are_never_wasted_and_frames_never_lost_silently(
    rate_hz, look_s, jitter, bursts, looks_in_buffer, pause_s, seed
):
    capacity = 60 + int(looks_in_buffer * look_s * rate_hz)
    core = SimulatedCore(rate_hz, latency(seed, look_s, jitter=jitter, bursts=bursts), capacity=capacity)
    core.at(0.05, core.start)
    core.at(1.0, core.stall, pause_s)
    core.at(4.0, core.stop)
    account = follow(core, 9.0)
    assert account.told == account.true
    assert set(account.lost) <= {LossCause.NOT_FETCHED, LossCause.AT_SOURCE}
    assert core.looks <= MAX_LOOKS_PER_FRAME * len(account.sent) + SPARE_LOOKS + core.empty_looks


def test_images_that_came_while_nothing_was_asked_may_be_of_another_sequence():
    def asked_late(**how):
        tail = Tail(0, 100)
        buffer = Buffer(tail, range(4))
        buffer.follow()
        tail.counted(9, buffer.now + 2.0, **how)
        return tail.newest, tail.searches_newest

    assert asked_late() == (3, True)  # the newest one is looked at first
    assert asked_late(last=True) == (8, False)


@pytest.mark.parametrize(("clock_ms", "period_s"), [(10.0, 0.01), (10.2, 0.01), (100.0, 0.01), (3.0, 0.003)])
def test_a_camera_s_clock_that_is_slower_than_its_images_is_not_one_of_ms(clock_ms, period_s):
    arrivals = Arrivals()
    for number in range(40):  # the last case is a daemon that asks a fast camera less often than images come
        arrivals.newest_was(number, number * 0.01)
        arrivals.stamped(number, number * clock_ms)
    assert arrivals.period_s == pytest.approx(period_s, rel=0.05)


@pytest.mark.parametrize("images", [2, 4, 5, 30, 200])
@pytest.mark.parametrize("whole_ms", [False, True])
def test_the_time_between_two_images_is_measured_over_all_of_a_steady_camera(images, whole_ms):
    times = [(number, round(number * 0.0117, 3) if whole_ms else number * 0.0117) for number in range(images)]
    assert frame_time_s(times[::-1]) == pytest.approx(times[-1][1] / (images - 1))


def test_images_that_waited_and_came_at_once_do_not_change_the_time_between_two():
    waited = [(number, max(number, 60) * 0.01 if 20 <= number < 60 else number * 0.01) for number in range(120)]
    paused = [(number, number * 0.01 + (2.0 if number >= 60 else 0.0)) for number in range(120)]
    for times in (waited, waited[25:], paused, paused[40:]):
        assert frame_time_s(times) == pytest.approx(0.01, rel=0.1)
    assert frame_time_s([]) == frame_time_s([(3, 1.0)]) == frame_time_s([(3, 1.0)] * 40) == 0


def test_a_count_that_could_not_be_settled_shows_how_far_a_sequence_had_come():
    end = SequenceEnd(capacity=100)
    assert end.unseen(10, newest_s=1.0, period_s=0.01, until_s=2.0) == 100
    end.counted(30, at_s=1.9)
    assert end.unseen(10, newest_s=1.0, period_s=0.01, until_s=1.9) == 20
    assert end.unseen(10, newest_s=1.0, period_s=0.01, until_s=2.0) == 30  # it may have gone on until then
    assert end.unseen(40, newest_s=1.0, period_s=0.01, until_s=2.0) == 100  # it was emptied since
    assert SequenceEnd(capacity=10).unseen(10, newest_s=1.0, period_s=0.01, until_s=1.5) == 50


def test_a_camera_that_gave_no_image_when_one_was_due_had_stopped():
    end = SequenceEnd(capacity=100)
    end.still_s = 1.015
    assert end.unseen(10, newest_s=1.0, period_s=0.01, until_s=2.0) == 100
    end.still_s = 1.025
    assert end.unseen(10, newest_s=1.0, period_s=0.01, until_s=2.0) == 0


def test_the_core_s_clock_is_not_misled_by_images_that_waited_in_the_buffer():
    clock = CoreClock()
    assert clock.stamp(image(0, received_s=100.0), 0, answered_s=1.0).received_s == pytest.approx(1.0)
    for number in range(1, 200):  # half a second late, each found behind many others
        late = clock.stamp(image(number, 100.0 + number * 0.01), 50, answered_s=1.5 + number * 0.01)
        assert late.received_s == pytest.approx(1.0 + number * 0.01)


def image(number, received_s):
    return BufferedImage(number, number * 10.0, received_s, {}, None)
