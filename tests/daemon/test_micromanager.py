"""Micro-Manager's live mode: on the real core in this process, over the bridge's protocol, and as a real process."""

import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bridge_emulator import BridgeEmulator
from daemon_process import DEADLINE_S, free_ports, wait_until

from daemon.children import Child
from daemon.config import SourceSection, load
from daemon.intake import FrameSubscriber
from daemon.protocol.messages import Heartbeat
from daemon.sources.camera import Lost, Shot, Waiting
from daemon.sources.live_mode import PRESS_LIVE, LiveMode
from daemon.sources.micromanager import MicroManager
from daemon.sources.tail import Look, Nothing, Restarted, Tail, Take
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo

# pyjavaz leaves closing the socket of a bridge that ends to the garbage collector; nothing of ours is excused.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed socket <zmq.Socket:ResourceWarning")

READ_ONLY = {
    *("connect", "get-constructors", "constructor", "destructor", "pix", "tags"),
    *("isSequenceRunning", "getRemainingImageCount", "getNBeforeLastTaggedImage", "getNumberOfCameraChannels"),
    *("getCameraDevice", "getDeviceName", "getExposure", "getPixelSizeUm"),
}


class Watched:
    """A source whose happenings are taken one by one until something is there."""

    def __init__(self, source):
        self._happenings = source.happenings()
        self._deadline = time.monotonic() + DEADLINE_S  # pytest's alarm may ring in a __del__, where it is not heard
        self.all = []

    def next(self):
        if time.monotonic() > self._deadline:
            pytest.fail(f"waited in vain; so far: {self.all[-5:]}")
        happening = next(self._happenings)
        if not (happening is None or isinstance(happening, Waiting)):
            self.all.append(happening)
        return happening

    def until(self, kind, count=1):
        """The next `count` happenings of a kind."""
        found = []
        while len(found) < count:
            if isinstance(happening := self.next(), kind):
                found.append(happening)
        return found

    def until_said(self, text):
        while not (isinstance(happening := self.next(), Waiting) and text in happening.detail):
            pass
        return happening.detail

    def quiet(self, times=30):
        """Ask so many times more; what was new meanwhile."""
        return [happening for _ in range(times) if (happening := self.next()) is not None]

    def close(self):
        self._happenings.close()


def lost_in(happenings):
    return sum(happening.count for happening in happenings if isinstance(happening, Lost))


# --- where the next frame is -------------------------------------------------------------------------------------


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


# --- the real core -------------------------------------------------------------------------------------------------


class BridgedCore:
    """pycromanager's names for the real core's methods; errors as the bridge raises them; frames kept by number."""

    def __init__(self, core):
        self._core = core
        self.is_sequence_running = core.isSequenceRunning
        self.get_remaining_image_count = core.getRemainingImageCount
        self.get_camera_device = core.getCameraDevice
        self.get_device_name = core.getDeviceName
        self.get_exposure = core.getExposure
        self.get_pixel_size_um = core.getPixelSizeUm
        self.get_image_bit_depth = core.getImageBitDepth
        self.get_number_of_camera_channels = core.getNumberOfCameraChannels

    def get_n_before_last_tagged_image(self, n):
        try:
            pixels, metadata = self._core.getNBeforeLastImageAndMD(n)
        except (IndexError, RuntimeError) as error:
            raise Exception(str(error)) from None
        return TaggedImage(pixels, {**metadata, "ROI": "-".join(map(str, self._core.getROI()))})


class TaggedImage:
    def __init__(self, pixels, tags):
        self.pix, self.tags = pixels, tags


@contextmanager
def demo_camera(*, exposure_ms, buffer_mb=None):
    mm_test_adapters = pytest.importorskip("mm_test_adapters")
    from pymmcore_plus import CMMCorePlus

    adapters = mm_test_adapters.device_adapter_path()
    core = CMMCorePlus()
    core.setDeviceAdapterSearchPaths([str(adapters)])
    core.loadSystemConfiguration(str(Path(adapters) / "MMConfig_demo.cfg"))
    core.setProperty("Camera", "PixelType", "16bit")
    core.setProperty("Camera", "OnCameraCCDXSize", 128)
    core.setProperty("Camera", "OnCameraCCDYSize", 128)
    core.setExposure(exposure_ms)
    if buffer_mb:
        core.setCircularBufferMemoryFootprint(buffer_mb)
    try:
        yield core
    finally:
        if core.isSequenceRunning():
            core.stopSequenceAcquisition()
        core.reset()
        # The core must go before the interpreter does, or the process aborts on the way out.
        del core


def settings_of(core):
    state = core.getSystemState()
    return {
        (setting.getDeviceLabel(), setting.getPropertyName()): setting.getPropertyValue()
        for setting in (state.getSetting(index) for index in range(state.size()))
    } | {"footprint": core.getCircularBufferMemoryFootprint(), "roi": core.getROI()}


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("exposure_ms", [10.0, 20.0])
def test_the_real_core_is_followed_without_being_touched(stop, exposure_ms):
    with demo_camera(exposure_ms=exposure_ms) as core:
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        assert watched.next() == Waiting(PRESS_LIVE)
        core.startContinuousSequenceAcquisition(0)
        before = settings_of(core)
        [info] = watched.until(StreamInfo)
        shots = watched.until(Shot, 200)
        numbers = [shot.number for shot in shots]
        assert len(shots) + lost_in(watched.all) == numbers[-1] - numbers[0] + 1
        assert lost_in(watched.all) == 0
        assert numbers[0] == 0
        assert settings_of(core) == before
        core.stopSequenceAcquisition()
        # What is still in the buffer belongs to the sequence; then it is over, and not one image was popped.
        watched.until_said(PRESS_LIVE)
        everything = [happening for happening in watched.all if isinstance(happening, Shot)]
        assert core.getRemainingImageCount() == everything[-1].number + 1 == len(everything)
        for shot in everything[-20:]:
            pixels, metadata = core.getNBeforeLastImageAndMD(everything[-1].number - shot.number)
            assert shot.number == int(metadata["ImageNumber"])
            assert shot.camera_ms == float(metadata["ElapsedTime-ms"])
            np.testing.assert_array_equal(shot.pixels, pixels)
        assert (info.height, info.width, info.dtype, info.binning, info.roi_yx) == (128, 128, "uint16", 1, (0, 0))
        assert (info.exposure_ms, info.rate_hz) == (exposure_ms, 1000 / exposure_ms)
        assert info.camera == "Camera (DCam)"
        watched.close()
        del watched


def test_a_stall_longer_than_the_real_buffer_is_counted_to_the_frame(stop):
    with demo_camera(exposure_ms=5.0, buffer_mb=1) as core:
        core.startContinuousSequenceAcquisition(0)
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        capacity = core.getBufferTotalCapacity()
        for _ in range(5):
            last = watched.until(Shot, 20)[-1]

            def overflowed(last=last):
                count = core.getRemainingImageCount()
                return count and int(core.getNBeforeLastImageAndMD(0)[1]["ImageNumber"]) > last.number + 1.5 * capacity

            wait_until(overflowed)
        watched.until(Shot, 20)
        shots = [happening for happening in watched.all if isinstance(happening, Shot)]
        lost = lost_in(watched.all)
        assert len([happening for happening in watched.all if isinstance(happening, StreamInfo)]) == 1
        assert len(shots) + lost == shots[-1].number - shots[0].number + 1
        assert lost >= 5 * capacity / 2
        watched.close()
        del watched


def test_a_changed_field_of_the_real_core_is_a_new_stream(stop):
    with demo_camera(exposure_ms=10.0) as core:
        core.startContinuousSequenceAcquisition(0)
        watched = Watched(LiveMode(BridgedCore(core), "micromanager:", stop))
        [first] = watched.until(StreamInfo)
        watched.until(Shot, 3)
        core.stopSequenceAcquisition()
        core.setROI(16, 32, 64, 48)
        core.startContinuousSequenceAcquisition(0)
        [second] = watched.until(StreamInfo)
        [shot] = watched.until(Shot)
        assert second.stream != first.stream
        assert (second.height, second.width, second.roi_yx) == (*shot.pixels.shape, (32, 16)) == (48, 64, (32, 16))
        watched.close()
        del watched


# --- the bridge ----------------------------------------------------------------------------------------------------


@pytest.fixture
def emulator():
    with BridgeEmulator() as running:
        yield running


@pytest.fixture
def watch(stop):
    """watch(port): a watched source attached to that port, closed before the emulator goes."""
    opened = []

    def open_one(port):
        opened.append(Watched(MicroManager(SourceSection(uri=f"micromanager:127.0.0.1:{port}"), stop)))
        return opened[-1]

    yield open_one
    for watched in opened:
        watched.close()


def live(emulator, frames=0):
    with emulator.lock:
        emulator.camera.start()
        emulator.camera.shoot(frames)


def shoot(emulator, frames):
    with emulator.lock:
        emulator.camera.shoot(frames)


def test_pycromanager_follows_live_mode_over_the_bridge(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [info] = watched.until(StreamInfo)
    assert (info.height, info.width, info.dtype, info.binning, info.roi_yx) == (4, 6, "uint16", 2, (32, 16))
    assert (info.pixel_nm, info.exposure_ms, info.rate_hz) == (pytest.approx(100.0), 10.0, 100.0)
    assert info.camera == "Camera (DCam)"
    shots = watched.until(Shot)
    for burst in (1, 2, 7, 90, 100):
        shoot(emulator, burst)
        shots += watched.until(Shot, burst)
    assert [shot.number for shot in shots] == list(range(201))
    assert [shot.camera_ms for shot in shots] == [number * 10.0 for number in range(201)]
    for shot in shots:
        assert shot.pixels.dtype == np.uint16
        np.testing.assert_array_equal(shot.pixels, np.full((4, 6), shot.number))
    assert lost_in(watched.all) == 0
    assert set(emulator.calls) == READ_ONLY
    assert len(emulator.camera.buffer) == 201
    assert emulator.handles <= 2, "images are given back"


def test_eight_bit_pixels_stay_eight_bit(emulator, watch):
    emulator.camera.pixel_type = "GRAY8"
    live(emulator, frames=8)
    [info], [shot] = (watched := watch(emulator.port)).until(StreamInfo), watched.until(Shot)
    assert (info.dtype, shot.pixels.dtype) == ("uint8", np.uint8)
    np.testing.assert_array_equal(shot.pixels, np.full((4, 6), 7))


def test_numbers_skipped_and_frames_that_fell_out_are_lost(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(Shot)
    with emulator.lock:
        emulator.camera.shoot(3)
        emulator.camera.skip(5)
        emulator.camera.shoot(3)
    assert [shot.number for shot in watched.until(Shot, 6)] == [1, 2, 3, 9, 10, 11]
    assert lost_in(watched.all) == 5
    with emulator.lock:
        emulator.camera.capacity = 20
        emulator.camera.shoot(50)
    shots = watched.until(Shot, len(emulator.camera.buffer))
    assert shots[-1].number == 61
    everything = [happening for happening in watched.all if isinstance(happening, Shot)]
    assert len(everything) + lost_in(watched.all) == 62


def test_numbers_that_begin_again_are_a_new_stream_and_said_to_be(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    shoot(emulator, 9)
    watched.until(Shot, 10)
    live(emulator, frames=4)
    assert "unknown" in watched.until_said("restarted")
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    assert [shot.number for shot in watched.until(Shot, 4)] == [0, 1, 2, 3]
    assert lost_in(watched.all) == 0


def test_live_mode_off_is_waited_out_and_its_last_frames_are_seen(emulator, watch):
    watched = watch(emulator.port)
    watched.until_said(PRESS_LIVE)
    live(emulator, frames=2)
    assert [shot.number for shot in watched.until(Shot, 2)] == [0, 1]
    with emulator.lock:
        emulator.camera.shoot(3)
        emulator.camera.live = False
    assert [shot.number for shot in watched.until(Shot, 3)] == [2, 3, 4]
    watched.until_said(PRESS_LIVE)
    assert watched.quiet(2) == [Waiting(PRESS_LIVE)] * 2
    live(emulator, frames=1)
    assert len(watched.until(StreamInfo)) == len(watched.until(Shot)) == 1


def test_frames_that_come_as_live_mode_is_found_stopped_are_seen(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    watched.until(Shot)
    emulator.camera.last_words = 3
    assert [shot.number for shot in watched.until(Shot, 3)] == [1, 2, 3]
    watched.until_said(PRESS_LIVE)


def test_micromanager_may_be_started_later(watch):
    [port] = free_ports(1)
    watched = watch(port)
    said = watched.until_said("start it")
    assert said == f"Micro-Manager on port {port}: start it and tick Tools > Options > 'Run server on port {port}'"
    with BridgeEmulator(port) as emulator:
        live(emulator, frames=1)
        assert watched.until(Shot)[0].number == 0
        watched.close()


def test_a_bridge_that_fails_is_attached_to_again(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    watched.until(Shot)
    emulator.fail("target is null")
    assert "target is null" in watched.until_said("failed")
    [second] = watched.until(StreamInfo)
    assert second.stream != first.stream
    shoot(emulator, 1)
    assert [shot.number for shot in watched.until(Shot, 2)] == [0, 1]


def test_a_new_field_is_a_new_stream(emulator, watch):
    live(emulator, frames=1)
    watched = watch(emulator.port)
    [first] = watched.until(StreamInfo)
    watched.until(Shot)
    with emulator.lock:
        emulator.camera.roi, emulator.camera.height = "0-0-6-8", 8
        emulator.camera.shoot()
    [second] = watched.until(StreamInfo)
    assert (second.height, second.roi_yx) == (8, (0, 0))
    assert second.stream != first.stream
    assert watched.until(Shot)[0].pixels.shape == (8, 6)


def test_colour_is_refused_with_what_to_do(emulator, watch):
    live(emulator, frames=1)
    emulator.camera.pixel_type = "RGB32"
    with pytest.raises(InputError, match=r"RGB32.*set its PixelType to 8bit or 16bit"):
        watch(emulator.port).until(StreamInfo)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("micromanager:scope-pc:4827", r"own machine only.*on the microscope PC"),
        ("micromanager:4827", r"not HOST:PORT.*micromanager:127\.0\.0\.1:4827"),
        ("micromanager:127.0.0.1:0", "not HOST:PORT"),
        ("micromanager:127.0.0.1:high", "not HOST:PORT"),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_what_to_do(uri, said, stop):
    with pytest.raises(InputError, match=said):
        MicroManager(SourceSection(uri=uri), stop)


# --- the process ---------------------------------------------------------------------------------------------------


def test_a_camera_process_without_micromanager_says_what_it_waits_for_and_ends_with_its_input(capfd):
    [port] = free_ports(1)
    section = SourceSection(uri=f"micromanager:127.0.0.1:{port}")
    child = Child("daemon.sources", [section.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        announced = wait_until(lambda: child.said(0.1))
        with FrameSubscriber(announced["endpoint"]) as subscriber:

            def beat():
                received = subscriber.receive()
                message = received.message if received else None
                return message if isinstance(message, Heartbeat) and "start it" in message.detail else None

            beats = [wait_until(beat) for _ in range(3)]
        assert {heartbeat.state for heartbeat in beats} == {"waiting"}
        assert beats[-1].detail.startswith(f"Micro-Manager on port {port}: start it and tick Tools > Options")
        child.ask_to_stop()
        assert wait_until(lambda: (child.exit_code is not None) and [child.exit_code]) == [0]
    finally:
        child.stop()
    assert capfd.readouterr().err == ""


def test_a_camera_process_sends_the_frames_of_micromanager(emulator):
    live(emulator, frames=1)
    section = SourceSection(uri=f"micromanager:127.0.0.1:{emulator.port}")
    child = Child("daemon.sources", [section.model_dump_json(), "--bind", "tcp://127.0.0.1:*"])
    try:
        announced = wait_until(lambda: child.said(0.1))
        with FrameSubscriber(announced["endpoint"]) as subscriber:

            def frame():
                received = subscriber.receive()
                return received if received and received.pixels is not None else None

            first = wait_until(frame)
            shoot(emulator, 1)
            second = wait_until(frame)
        assert (first.message.number, second.message.number) == (0, 1)
        np.testing.assert_array_equal(second.pixels, np.ones((4, 6)))
        child.ask_to_stop()
        assert wait_until(lambda: (child.exit_code is not None) and [child.exit_code]) == [0]
        assert emulator.handles == 0, "all is given back at the end"
    finally:
        child.stop()


def test_the_example_configuration_loads():
    configs = Path(__file__).parents[2] / "configs"
    config = load(configs / "micromanager.toml", {})
    assert (config.source.scheme, config.source.place) == ("micromanager", "")
