"""Frames lost inside a camera: counted where its clock moved on for good, and not where a stamp came late."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sources.camera_clock import SIDE, CameraClock

PERIOD_MS = 10.0


def lost(times_ms, numbers=None):
    clock = CameraClock()
    numbers = range(len(times_ms)) if numbers is None else numbers
    return sum(clock.passed(number, ms) for number, ms in zip(numbers, times_ms, strict=True))


def steady(frames):
    return np.arange(frames) * PERIOD_MS


@given(missed=st.integers(1, 200), at=st.integers(SIDE, 40), late_ms=st.floats(0, 1, allow_subnormal=False))
def test_a_pause_of_whole_frames_is_lost_frames(missed, at, late_ms):
    times = steady(60) + np.random.default_rng(at).uniform(0, late_ms, 60)
    times[at:] += missed * PERIOD_MS
    assert abs(lost(times) - missed) <= 0.05 * missed  # as well as the frame time is known from a few frames


@given(late=st.lists(st.integers(0, 59), max_size=6), by_ms=st.floats(0, 500, allow_subnormal=False))
def test_stamps_that_come_late_are_no_lost_frames(late, by_ms):
    times = steady(60)
    times[late] += by_ms  # and then the next are early again, as they were
    assert lost(np.maximum.accumulate(times)) == 0 or by_ms > (SIDE - 1) * PERIOD_MS


def test_frames_that_fell_out_of_the_buffer_are_not_counted_twice():
    numbers = np.concatenate([np.arange(30), np.arange(37, 60)])
    assert lost(numbers * PERIOD_MS, numbers) == 0


@pytest.mark.parametrize("slower", [1.5, 2.0, 5.0])
def test_a_camera_that_gets_slower_loses_nothing(slower):
    intervals = np.concatenate([np.full(30, PERIOD_MS), np.full(30, slower * PERIOD_MS)])
    assert lost(np.cumsum(intervals)) == 0


def test_a_camera_without_clock_is_not_judged():
    assert lost([None] * 40) == 0


@pytest.mark.parametrize("rate_hz", [150, 300, 400, 719, 900])
def test_a_clock_of_whole_milliseconds_is_too_coarse_for_a_fast_camera(rate_hz):
    jitter = np.random.default_rng(rate_hz).uniform(-0.4, 0.4, 5000)
    assert lost(np.floor((np.arange(5000) + jitter) * 1000 / rate_hz)) == 0


def test_a_clock_of_whole_milliseconds_shows_what_a_slower_camera_lost():
    times = np.floor(steady(60) + 0.5)
    times[30:] += 7 * PERIOD_MS
    assert lost(times) == 7
