"""Steps are timed by the device that does them, and marking a step waits for nothing."""

import torch

from daemon.stopwatch import Stopwatch
from selfstorm.compute.device_clock import DeviceClock


class Card:
    """A graphics card whose events note its time when they are waited for, not when they are recorded."""

    def __init__(self):
        self.now_s, self.waited = 0.0, 0

    def event(self):
        return Event(self)


class Event:
    def __init__(self, card):
        self.card = card

    def record(self):
        self.at_s = self.card.now_s

    def synchronize(self):
        self.card.waited += 1

    def elapsed_time(self, later):
        return 1e3 * (later.at_s - self.at_s)


def test_a_step_takes_as_long_as_the_device_takes_for_it():
    card = Card()
    stopwatch = Stopwatch(DeviceClock(torch.device("cpu"), card.event, ("cpu",)))
    for step, seconds in (("density", 0.25), ("emitters", 0.5), ("density", 0.25)):
        card.now_s += seconds
        stopwatch.mark(step)
    assert card.waited == 0
    assert stopwatch.seconds == {"density": 0.5, "emitters": 0.5}
    assert card.waited == 3
    card.now_s += 1.0
    stopwatch.mark("quality")
    assert stopwatch.milliseconds == {"density": 500.0, "emitters": 500.0, "quality": 1000.0}
    assert card.waited == 4


def test_a_cpu_is_timed_by_the_clock_of_the_process():
    clock = DeviceClock(torch.device("cpu"))
    one, other = clock.now(), clock.now()
    assert 0 <= clock.seconds(one, other) == other - one
