"""Where the next frame is in a buffer that moves: nothing twice, nothing left out, what is gone counted."""

import numpy as np
import pytest

from daemon.sources.tail import Look, Nothing, Restarted, Tail, Take


def follow(tail, numbers, clock=float):
    """One search in a buffer that holds these numbers, oldest first; the answer, and the number taken."""
    step, number = tail.look(len(numbers)), None
    for _ in range(50):
        if not isinstance(step, Look):
            return step, number if isinstance(step, Take) else None
        if step.distance >= len(numbers):
            step = tail.gone(len(numbers))
        else:
            number = numbers[-1 - step.distance]
            step = tail.found(number, clock(number))
    pytest.fail("the search does not end")


def test_a_tail_begins_with_the_newest_image_and_takes_every_later_one():
    tail = Tail()
    assert follow(tail, range(5)) == (Take(0), 4)
    assert follow(tail, range(5)) == (Nothing(), None)
    assert [follow(tail, range(9)) for _ in range(4)] == [(Take(0), number) for number in (5, 6, 7, 8)]
    assert follow(tail, range(9)) == (Nothing(), None)


def test_a_sequence_seen_from_its_start_is_taken_from_its_first_image():
    tail = Tail(from_oldest=True)
    assert follow(tail, []) == (Nothing(), None)
    assert [follow(tail, range(3)) for _ in range(3)] == [(Take(0), 0), (Take(0), 1), (Take(0), 2)]


def test_an_emptied_buffer_costs_what_is_gone_and_nothing_else():
    tail = Tail()
    follow(tail, range(10))
    assert follow(tail, range(10, 12)) == (Take(0), 10)
    assert follow(tail, range(40, 45)) == (Take(29), 40)
    assert follow(tail, range(40, 45)) == (Take(0), 41)


@pytest.mark.parametrize("skipped", [1, 3, 200])
def test_numbers_that_were_skipped_in_the_buffer_are_lost(skipped):
    tail = Tail()
    follow(tail, range(5))
    numbers = [*range(5), *range(5 + skipped, 25 + skipped)]
    taken = [follow(tail, numbers) for _ in range(20)]
    assert taken == [(Take(skipped), 5 + skipped)] + [(Take(0), number) for number in range(6 + skipped, 25 + skipped)]


def test_a_number_or_a_clock_that_goes_back_is_another_sequence():
    tail = Tail()
    follow(tail, range(30))
    assert follow(tail, range(3)) == (Restarted(), None)
    tail = Tail()
    follow(tail, range(30))
    assert follow(tail, range(40), clock=lambda number: number / 10) == (Restarted(), None)


def test_an_unchanged_count_is_looked_behind_now_and_then():
    tail = Tail()
    follow(tail, [4])
    taken = [follow(tail, [5]) for _ in range(20)]
    assert (Take(0), 5) in taken  # another client popped one as one came in


@pytest.mark.parametrize("arrivals", [0.3, 0.8])
def test_images_that_come_in_between_two_calls_cost_no_frame(arrivals):
    random = np.random.default_rng(7)
    tail, numbers, seen = Tail(), [0], []

    def time_passes():
        for _ in range(random.poisson(arrivals)):
            gap = int(random.integers(1, 9)) if random.random() < 0.02 else 0
            numbers.append(numbers[-1] + 1 + gap)

    for turn in range(2500):
        if turn < 2000:
            time_passes()
        step = tail.look(len(numbers))
        while isinstance(step, Look):
            if turn < 2000:
                time_passes()
            if step.distance >= len(numbers):
                step = tail.gone(len(numbers))
            else:
                number = numbers[-1 - step.distance]
                step = tail.found(number, float(number))
        if isinstance(step, Take):
            seen.append(number)
            before = numbers[numbers.index(number) - 1] if len(seen) > 1 else number - 1
            assert step.lost == number - before - 1, "a frame that was there is called lost"
    assert seen == numbers[numbers.index(seen[0]) :][: len(seen)]
    assert len(seen) > 500


def test_frames_are_counted_right_whatever_happens_to_the_buffer():
    random = np.random.default_rng(5)
    tail, numbers, next_number, seen, lost = Tail(), [], 0, [], 0
    for _ in range(3000):
        for _ in range(random.integers(0, 6)):
            next_number += 1 if random.random() > 0.02 else int(random.integers(2, 50))
            numbers.append(next_number)
        if len(numbers) > 60:
            numbers = []
        step = tail.look(len(numbers))
        while isinstance(step, Look):
            if random.random() < 0.1:  # one comes in between two calls
                next_number += 1
                numbers.append(next_number)
            if step.distance >= len(numbers):
                step = tail.gone(len(numbers))
            else:
                number = numbers[-1 - step.distance]
                step = tail.found(number, float(number))
        assert not isinstance(step, Restarted)
        if isinstance(step, Take):
            seen.append(number)
            lost += step.lost
    assert seen == sorted(set(seen))
    assert len(seen) + lost == seen[-1] - seen[0] + 1
    assert len(seen) > 1000
