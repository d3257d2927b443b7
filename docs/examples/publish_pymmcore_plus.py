"""Publish the frames of pymmcore-plus as a source for the daemon.

The daemon reads them by uri = "zmq:127.0.0.1:5710".
"""

import time
import uuid

import msgpack
import zmq
from pymmcore_plus import CMMCorePlus
from useq import MDASequence

core = CMMCorePlus.instance()
core.loadSystemConfiguration()  # your configuration belongs here
socket = zmq.Context().socket(zmq.PUB)
socket.bind("tcp://127.0.0.1:5710")
head = {"v": [2, 0], "stream": uuid.uuid4().hex, "dtype": "uint16", "next_seq": 0, "state": "running"}


def send(pixels, event, metadata):
    """Publish one frame of the acquisition."""
    info = head | {"source": "pymmcore-plus", "height": pixels.shape[0], "width": pixels.shape[1], "pixel_nm": 100.0}
    now = {"seq": head["next_seq"], "number": event.index.get("t", 0), "sent_unix_ns": time.time_ns()}
    if head["next_seq"] % 10 == 0:  # several times a second: what the frames are, and how many were sent
        socket.send_multipart([b"info", msgpack.packb(info)])
        socket.send_multipart([b"heartbeat", msgpack.packb(head)])
    frame = msgpack.packb(head | now | {"shape": list(pixels.shape)})
    socket.send_multipart([b"frame", frame, pixels.astype("<u2").tobytes()])
    head["next_seq"] += 1


core.mda.events.frameReady.connect(send)
core.mda.run(MDASequence(time_plan={"interval": 0.02, "loops": 1_000_000}))
