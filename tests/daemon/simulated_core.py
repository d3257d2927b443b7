"""A Micro-Manager core in virtual time: its camera films while calls are under way, and others use it too.

Calls take time, images come meanwhile, and the core answers with what its camera is *now*, as the real one does. A
script says what happens when. Nothing waits: minutes of a microscope take as long as their calls take to compute.
"""

import heapq
import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

GARBAGE = 0xDEAD
STARTED = datetime(2026, 3, 4, 10, 0, 0, 1)


@dataclass(frozen=True)
class Format:
    """A camera's image: its pixels say which image it is."""

    camera: str = "Camera"
    height: int = 2
    width: int = 3
    pixel_type: str = "GRAY16"

    @property
    def dtype(self):
        return np.uint8 if self.pixel_type == "GRAY8" else np.uint16

    @property
    def bytes(self):
        return self.height * self.width * np.dtype(self.dtype).itemsize


@dataclass
class Sequence:
    """One live mode from its start to its stop."""

    format: Format
    began_s: float
    taken: int = 0
    number: int = 0  # of the next image
    ended_s: float = math.inf
    first_s: float = math.inf  # its first image came
    gone_s: float = math.inf  # the last one left the buffer

    @property
    def running(self):
        return self.ended_s == math.inf


class Answer(NamedTuple):
    """Evidence in an answer of the core: the images in the buffer, or only whether a sequence runs."""

    sent_s: float
    second: float
    returned_s: float
    shows_images: bool


@dataclass
class SimulatedCore:
    """pycromanager's names. latency(kind): seconds that a call takes to the core, and from it."""

    rate_hz: float
    latency: object = lambda kind: (0.0002, 0.0002)
    capacity: int = 1000  # of images of the format it begins with; the memory for it stays, whatever the format
    format: Format = field(default_factory=Format)
    exposure_ms: float = 10.0
    state_cache: bool = True
    jitter: float = 0.0  # of the time between two images, as a share
    whole_ms: bool = False  # the camera's clock, as the core makes it where the camera has none
    says_when: bool = True  # an image was received
    now: float = 0.0
    calls: int = 0
    looks: int = 0
    empty_looks: int = 0
    overread: int = 0
    stall_until: float = 0.0

    def __post_init__(self):
        self.sequences, self._buffer, self._script, self._order = [], [], [], 0
        self._next_frame_s, self._draw = float("inf"), random.Random(1)
        self.popped, self._told_bytes = 0, 0
        self.answers = []
        self._memory_bytes = self.capacity * self.format.bytes
        self._held_until_s, self._held_ms = 0.0, []

    # the script

    def at(self, second, action, *arguments):
        self._order += 1
        heapq.heappush(self._script, (second, self._order, action, arguments))

    def start(self):
        """The buffer is made for the camera's images as they are now; a sequence that runs cannot be started."""
        if self.sequences and self.sequences[-1].running:
            return
        self._remove()
        self.capacity = self._memory_bytes // self.format.bytes
        self.sequences.append(Sequence(self.format, self.now))
        self._next_frame_s = self.now + 1 / self.rate_hz

    def stop(self):
        if self.sequences and self.sequences[-1].running:
            self.sequences[-1].ended_s = self.now
            self._remove(0)
        self._next_frame_s = float("inf")

    def restart(self, gap_s):
        self.stop()
        self.at(self.now + gap_s, self.start)

    def switch(self, new_format):
        """Another camera or pixel type leaves the images in the buffer; another region empties it."""
        self.stop()
        if (new_format.camera, new_format.pixel_type) == (self.format.camera, self.format.pixel_type):
            self._remove()
        self.format = new_format

    def clear(self):
        """A script empties the buffer: numbers begin again, and the camera's clock goes on, as in MMCore 12.5."""
        self._remove()
        self.sequences[-1].number = 0

    def pop(self, count):
        self._remove(count)
        self.popped += count

    def pop_until(self, end_s, every_s):
        """Another program takes all that is there, again and again."""
        self._remove()
        if self.now + every_s < end_s:
            self.at(self.now + every_s, self.pop_until, end_s, every_s)

    def stall(self, seconds):
        """The process that looks gets no time."""
        self.stall_until = max(self.stall_until, self.now + seconds)

    def hold_back(self, seconds):
        """The camera's driver keeps its images, and delivers them at once afterwards."""
        self._held_until_s = self.now + seconds

    def pause(self, seconds):
        """The camera waits for a trigger; its clock goes on."""
        self._next_frame_s += seconds

    def _remove(self, count=None):
        """Remove the oldest images, or all; those of a sequence that has ended may be the last it had."""
        del self._buffer[:count]
        if self.sequences and not self._buffer and not self.sequences[-1].running:
            self.sequences[-1].gone_s = min(self.sequences[-1].gone_s, self.now)

    # time

    def pass_time(self, seconds):
        end = max(self.now + seconds, self.stall_until if self.stall_until > self.now else 0.0)
        while True:
            script_s = self._script[0][0] if self._script else float("inf")
            if min(script_s, self._next_frame_s) > end:
                break
            if script_s <= self._next_frame_s:
                self.now = max(self.now, script_s)
                _, _, action, arguments = heapq.heappop(self._script)
                action(*arguments)
                end = max(end, self.stall_until)
            else:
                self.now = self._next_frame_s
                self._shoot()
        self.now = end

    def _shoot(self):
        now_ms = (self.now - self.sequences[-1].began_s) * 1000
        self._next_frame_s += (1 + self.jitter * self._draw.uniform(-1, 1)) / self.rate_hz
        self._held_ms.append(now_ms)
        if self.now >= self._held_until_s:
            for camera_ms in self._held_ms:
                self._insert(now_ms if self.whole_ms else camera_ms)
            self._held_ms.clear()

    def _insert(self, camera_ms):
        sequence = self.sequences[-1]
        if len(self._buffer) >= self.capacity:
            self._remove()
        self._buffer.append((len(self.sequences) - 1, sequence.number, camera_ms, self.now))
        sequence.first_s = min(sequence.first_s, self.now)
        sequence.taken, sequence.number = sequence.taken + 1, sequence.number + 1

    def _call(self, kind, answer, shows_images=None):
        self.calls += 1
        there, back = self.latency(kind)
        sent_s = self.now
        self.pass_time(there)
        second = self.now
        try:
            value = answer()
            self.pass_time(back)
        finally:
            if shows_images is not None:
                self.answers.append(Answer(sent_s, second, self.now, shows_images))
        return value

    # what is asked of it

    def is_sequence_running(self):
        return self._call("ask", lambda: bool(self.sequences) and self.sequences[-1].running, shows_images=False)

    def get_remaining_image_count(self):
        return self._call("ask", lambda: len(self._buffer), shows_images=True)

    def get_image_buffer_size(self):
        return self._call("ask", self._size)

    def _size(self):
        self._told_bytes = self.format.bytes
        return self._told_bytes

    def get_buffer_total_capacity(self):
        return self._call("ask", lambda: self.capacity)

    def get_circular_buffer_memory_footprint(self):
        return self._memory_bytes / 2**20

    def get_camera_device(self):
        return self._call("ask", lambda: self.format.camera)

    def get_number_of_camera_channels(self):
        return 1

    def get_exposure(self):
        return self._call("ask", lambda: self.exposure_ms)

    def get_pixel_size_um(self, cached):
        return 0.1

    def get_device_library(self, camera):
        return "HamamatsuHam"

    def get_device_name(self, camera):
        return "DCam"

    def get_image_bit_depth(self):
        return 16

    def get_n_before_last_tagged_image(self, distance):
        self.looks += 1
        return self._call("look", lambda: self._tagged(distance), shows_images=True)

    def _tagged(self, distance):
        if distance >= len(self._buffer):
            self.empty_looks += 1
            raise Exception("java.lang.Exception: Circular buffer is empty.")
        sequence, number, camera_ms, received_s = self._buffer[-1 - distance]
        taken_with, shown = self.sequences[sequence].format, self.format
        # A change between a question and the next call cannot be seen by anybody; but for that it can be known.
        self.overread += shown.bytes > taken_with.bytes and self._told_bytes == shown.bytes
        wrong = shown != taken_with and shown.bytes != taken_with.bytes
        value = GARBAGE if wrong else (sequence * 7919 + number) % 50_000
        pixels = np.full((shown.height, shown.width), value % np.iinfo(shown.dtype).max, shown.dtype)
        self.pass_time(self.latency("copy")[0])  # the tags are asked of the core a little later
        shown = self.format
        tags = {
            "ImageNumber": str(number),
            "ElapsedTime-ms": f"{camera_ms:.0f}" if self.whole_ms else f"{camera_ms:.3f}",
            **({"TimeReceivedByCore": str(STARTED + timedelta(seconds=received_s))} if self.says_when else {}),
            "Width": shown.width,
            "Height": shown.height,
            "PixelType": shown.pixel_type,
            "ROI": f"0-0-{shown.width}-{shown.height}",
            "Camera": taken_with.camera,
            **({f"{shown.camera}-Exposure": f"{self.exposure_ms}"} if self.state_cache else {}),
        }
        return SimpleNamespace(pix=pixels, tags=tags)


class Stop:
    """An event that is set at a virtual time; waiting for it lets that time pass."""

    def __init__(self, core, end_s):
        self._core, self._end_s = core, end_s

    def is_set(self):
        return self._core.now >= self._end_s

    def wait(self, seconds):
        self._core.pass_time(seconds)
        return self.is_set()
