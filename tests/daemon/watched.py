"""A source taken step by step, and the emulated Micro-Manager it watches."""

import time

import pytest
from daemon_process import DEADLINE_S

from daemon.sources.camera import CameraFrame, Lost, Waiting
from daemon.sources.losses import LossCause

AT_ONCE = 5  # images
# All that a source which only looks may ask of Micro-Manager.
READ_ONLY = {
    *("connect", "get-constructors", "constructor", "destructor", "pix", "tags"),
    *("isSequenceRunning", "getRemainingImageCount", "getNBeforeLastTaggedImage", "getNumberOfCameraChannels"),
    *("getImageBufferSize", "getBufferTotalCapacity", "getCircularBufferMemoryFootprint"),
    *("getCameraDevice", "getDeviceName", "getDeviceLibrary", "getExposure", "getPixelSizeUm", "getImageBitDepth"),
}


class Watched:
    """A source whose happenings are taken one by one until something is there."""

    def __init__(self, source):
        self._happenings = source.events()
        self._deadline = time.monotonic() + DEADLINE_S  # pytest's alarm may ring in a __del__, where it is not heard
        self.all = []  # with each, there is as much time for the next

    def next(self):
        if time.monotonic() > self._deadline:
            pytest.fail(f"waited in vain; so far: {self.all[-5:]}")
        happening = next(self._happenings)
        if not (happening is None or isinstance(happening, Waiting)):
            self.all.append(happening)
            self._deadline = time.monotonic() + DEADLINE_S
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


def lost_in(events):
    """Frames known to be lost; those estimated from the camera's clock are told apart."""
    return sum(one.count for one in events if isinstance(one, Lost) and one.cause is not LossCause.IN_CAMERA)


def lost_in_camera(events):
    return sum(one.count for one in events if isinstance(one, Lost) and one.cause is LossCause.IN_CAMERA)


def live(emulator, frames=0):
    with emulator.lock:
        emulator.camera.start()
        emulator.camera.shoot(frames)


def shoot(emulator, frames):
    with emulator.lock:
        emulator.camera.shoot(frames)


def followed(emulator, watched, frames):
    """Shoot so many frames, a few at once, as they are fetched; return them.

    Where a look takes 10 ms, on a busy machine, many at once are those of a camera that is faster than looks.
    """
    shots = []
    while len(shots) < frames:
        few = min(AT_ONCE, frames - len(shots))
        shoot(emulator, few)
        shots += watched.until(CameraFrame, few)
    return shots
