"""Live mode in virtual time: every frame sent or lost with its cause, whatever the calls cost and others do."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from simulated_core import Format, SimulatedCore, Stop

from daemon.sources.camera import CameraFrame, Lost
from daemon.sources.live_mode import LiveMode
from daemon.sources.losses import LossCause
from selfstorm.frames import StreamInfo

MAX_LOOKS_PER_FRAME, SPARE_LOOKS = 1.2, 25
OTHERS = (Format(height=4), Format(width=5, pixel_type="GRAY8"), Format(camera="Second", height=3, width=2))


@dataclass
class Account:
    """Result of a simulated microscope."""

    core: SimulatedCore
    sent: list = field(default_factory=list)  # (second, number)
    lost: Counter = field(default_factory=Counter)
    streams: int = 0

    @property
    def true(self):
        return sum(sequence.taken for sequence in self.core.sequences)

    @property
    def told(self):
        return len(self.sent) + sum(self.lost.values())

    def rate_hz(self, from_s, to_s):
        return sum(from_s <= second < to_s for second, _ in self.sent) / (to_s - from_s)


def follow(core, end_s):
    """Follow it to the end; every frame must be the one it says it is."""
    account, now = Account(core), lambda: core.now
    for event in LiveMode(core, "micromanager:", Stop(core, end_s), now).events():
        if isinstance(event, StreamInfo):
            account.streams += 1
        elif isinstance(event, Lost):
            account.lost[event.cause] += event.count
        elif isinstance(event, CameraFrame):
            account.sent.append((core.now, event.number))
            assert is_an_image(core, event), "garbage was sent as a frame"
    return account


def is_an_image(core, frame):
    formats = {one.format.pixel_type: one for one in core.sequences}
    values = {
        (index * 7919 + frame.number) % 50_000 % (255 if formats_is_small(one) else 65_535)
        for index, one in enumerate(core.sequences)
    }
    return bool(formats) and set(frame.pixels.ravel().tolist()) <= values


def formats_is_small(sequence):
    return sequence.format.pixel_type == "GRAY8"


def latency(seed, look_s, *, jitter=0.3, bursts=0.0):
    """Calls that take as long as a real bridge's: most of a look is its pixels, and a busy machine stalls it."""
    draw = random.Random(seed)

    def seconds(kind):
        factor = draw.lognormvariate(0, jitter) * (draw.uniform(2, 15) if draw.random() < bursts else 1)
        match kind:
            case "look":
                return look_s * 0.25 * factor, look_s * 0.55 * factor
            case "copy":
                return look_s * 0.02 * factor, 0.0
        return look_s * 0.05 * factor, look_s * 0.05 * factor

    return seconds


@pytest.mark.parametrize("lag_s", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("rate_hz", "look_s"), [(100, 0.001), (100, 0.005), (177, 0.003), (400, 0.001), (800, 0.0006)])
def test_a_camera_that_can_be_followed_is_followed_again_after_any_pause(rate_hz, look_s, lag_s):
    core = SimulatedCore(rate_hz, latency(1, look_s), capacity=20_000)
    core.at(0.05, core.start)
    core.at(3.0, core.stall, lag_s)
    core.at(10.0, core.stop)
    account = follow(core, 13.0)
    assert account.lost == {}
    assert len(account.sent) == account.true
    assert core.looks <= MAX_LOOKS_PER_FRAME * len(account.sent) + SPARE_LOOKS
    assert account.rate_hz(3.0 + lag_s + 3.0, 3.0 + lag_s + 4.0) >= 0.95 * rate_hz


@pytest.mark.parametrize("lag_s", [0.0, 1.0, 2.0])
@pytest.mark.parametrize(("rate_hz", "look_s"), [(800, 0.001), (400, 0.002), (1000, 0.004), (100, 0.02), (300, 0.008)])
def test_a_camera_faster_than_the_bridge_is_skipped_evenly(rate_hz, look_s, lag_s):
    core = SimulatedCore(rate_hz, latency(2, look_s), capacity=20_000)
    core.at(0.05, core.start)
    core.at(3.0, core.stall, lag_s)
    core.at(10.0, core.stop)
    account = follow(core, 11.0)
    assert account.told == account.true
    assert set(account.lost) <= {LossCause.NOT_FETCHED}
    assert core.looks <= MAX_LOOKS_PER_FRAME * len(account.sent) + SPARE_LOOKS
    late = [number for second, number in account.sent if 3.0 + lag_s + 3.0 <= second < 10.0]
    bridge_hz = 0.7 / look_s
    assert account.rate_hz(3.0 + lag_s + 3.0, 3.0 + lag_s + 4.0) >= min(0.95 * rate_hz, bridge_hz)
    steps = [after - before for before, after in pairwise(late)]
    assert max(steps) <= 4 * rate_hz * look_s + 4


def scripted(seed):
    """A microscope at which things happen, at random."""
    draw = random.Random(seed)
    rate_hz, look_s = 10 ** draw.uniform(1, 3), 10 ** draw.uniform(-3.5, -1.7)
    bursts = draw.choice([0.0, 0.0, 0.01, 0.03])
    core = SimulatedCore(rate_hz, latency(seed, look_s, bursts=bursts), capacity=draw.choice([60, 300, 2000]))
    core.state_cache = draw.random() < 0.5
    core.at(0.1, core.start)
    second, done = 0.1, []
    while (second := second + draw.uniform(0.4, 1.2)) < 3.5:
        what = draw.choice(["pause", "pops", "clear", "restart", "switch", "cache", "overflow", "nothing"])
        done.append(what)
        match what:
            case "pause":
                core.at(second, core.stall, draw.uniform(0.1, 1.5))
            case "pops":
                core.at(second, core.pop_until, second + draw.uniform(0.1, 1.0), draw.uniform(0.001, 0.02))
            case "clear":
                core.at(second, core.clear)
            case "restart":
                core.at(second, core.restart, draw.uniform(0.001, 0.02))
            case "switch":
                core.at(second, core.switch, draw.choice(OTHERS))
                core.at(second + draw.uniform(0.01, 0.1), core.start)
            case "cache":
                core.at(second, setattr, core, "state_cache", not core.state_cache)
            case "overflow":
                core.at(second, core.stall, 1.2 * core.capacity / rate_hz if core.capacity / rate_hz < 2 else 0.5)
    core.at(4.5, core.stop)
    return core, done


@pytest.mark.parametrize("seed", range(200))
def test_every_frame_is_accounted_for_whatever_happens(seed):
    core, done = scripted(seed)
    account = follow(core, 7.5)
    estimated = {"restart", "switch", "pops"} & set(done)
    allowed = max(5, 0.05 * account.true) if estimated else 0
    assert abs(account.true - account.told) <= allowed, (done, account.lost)
    assert core.overread == 0
    assert core.looks <= MAX_LOOKS_PER_FRAME * len(account.sent) + SPARE_LOOKS * (1 + len(done)) + core.empty_looks
    if not {"pops", "clear"} & set(done):
        assert LossCause.TAKEN not in account.lost
    if "switch" not in done:
        assert LossCause.CHANGED not in account.lost
    if not {"restart", "switch"} & set(done):
        assert LossCause.RESTARTED not in account.lost
        assert account.streams == 1
