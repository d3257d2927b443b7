"""The camera process with somebody in it who meddles with the real core while the daemon's own source uses it.

What happens at a microscope happens to the core from outside: a camera stops, is unplugged, its region is changed, a
busy computer leaves no time to take frames. `meddle` asks for it from the test; everything else is the product's.
"""

import ctypes
import os
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path

import zmq

from daemon.cli import main as run_daemon
from daemon.sources import mmcore

PORT = "MEDDLER_PORT"
ANSWER_MS = 20_000
# What a pixel of the n-th sequence is on average: DARK + n * LEVEL, at 5 ms of exposure. DARK is less the rounding.
DARK, LEVEL, FLUX = 99.5, 500, 100
SEQUENCES = Path("sequences.txt")  # one character for each, in the daemon's folder: camera processes come and go
# `selfstorm-daemon`, whose camera process is this module.
PROGRAM = (sys.executable, "-c", "from meddled_camera import run; run()")


def run():
    """The daemon, in its own process."""
    from daemon.sources import supervisor

    child = supervisor.ChildProcess
    supervisor.ChildProcess = lambda _, arguments: child("meddled_camera", arguments)
    run_daemon()


def meddle(port, what, *arguments):
    """Have it done in the camera process that runs, or the next one; what came of it."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{port}")
        socket.send_json([what, *arguments])
        if not socket.poll(ANSWER_MS):
            raise TimeoutError(f"no meddler on port {port} within {ANSWER_MS} ms")
        return socket.recv_json()


class Meddler:
    """Does to the core what it is told, one request after the other."""

    def __init__(self, core):
        self._core = weakref.ref(core)  # the core must go before the interpreter does

    def serve(self, port):
        with zmq.Context() as context, context.socket(zmq.REP) as socket:
            socket.linger = 0
            socket.bind(f"tcp://127.0.0.1:{port}")
            while self._core() is not None:
                if socket.poll(50):
                    what, *arguments = socket.recv_json()
                    socket.send_json(getattr(self, what)(*arguments))

    def stop(self):
        """The camera stops by itself."""
        self._core().stopSequenceAcquisition()

    def region(self, x, y, width, height):
        """The camera's region is changed while it runs: its buffer takes no such images, and the camera stops."""
        self._core().setROI(x, y, width, height)

    def unload(self):
        """The camera is gone: it stops, and before the source has started it again it is no more there."""
        while self._core().getCameraDevice():
            self._core().stopSequenceAcquisition()
            with suppress(RuntimeError):  # the source was faster
                self._core().unloadDevice("Camera")

    def overrun(self):
        """This process gets no time, while the camera runs on, until its buffer has run over; how much that holds."""
        core = self._core()
        capacity = core.getBufferTotalCapacity()
        seconds = 3 * capacity * core.getExposure() / 1000
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # unlike ctypes.CDLL it keeps the interpreter to itself
        return capacity


def brighter(core_class):
    """The core, whose demonstration camera sees more light in each sequence than in the one before."""

    class Brighter(core_class):
        def getDeviceLibrary(self, label):
            """The library of a camera that films on while this process stands still."""
            return "HamamatsuHam"

        def startContinuousSequenceAcquisition(self, interval_ms):
            with SEQUENCES.open("a") as file:
                file.write(".")
            self.setProperty("Camera", "Photon Flux", FLUX * SEQUENCES.stat().st_size)
            super().startContinuousSequenceAcquisition(interval_ms)

    return Brighter


def _meddled(section, load=mmcore._loaded_core):
    core = load(section)
    threading.Thread(target=Meddler(core).serve, args=(int(os.environ[PORT]),), name="meddler", daemon=True).start()
    return core


if __name__ == "__main__":
    import pymmcore_plus

    from daemon.sources.__main__ import main

    pymmcore_plus.CMMCorePlus = brighter(pymmcore_plus.CMMCorePlus)
    mmcore._loaded_core = _meddled
    main()
