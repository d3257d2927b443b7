"""Publish any camera's numpy arrays as a source for the daemon.

The daemon reads them by uri = "zmq:127.0.0.1:5710".
"""

import time
import uuid

import msgpack
import numpy as np
import zmq

socket = zmq.Context().socket(zmq.PUB)
socket.bind("tcp://127.0.0.1:5710")
info = {"v": [2, 0], "stream": uuid.uuid4().hex, "source": "numpy", "height": 64, "width": 64, "dtype": "uint16"}
head = {"v": [2, 0], "stream": info["stream"], "shape": [64, 64], "dtype": "uint16"}
for seq in range(10**9):
    if seq % 10 == 0:  # several times a second: what the frames are, and how many were sent
        socket.send_multipart([b"info", msgpack.packb(info | {"pixel_nm": 100.0, "rate_hz": 50.0})])
        socket.send_multipart([b"heartbeat", msgpack.packb(head | {"next_seq": seq, "state": "running"})])
    pixels = np.random.default_rng().poisson(100, (64, 64)).astype("<u2")  # your camera's frame belongs here
    now = {"seq": seq, "number": seq, "sent_unix_ns": time.time_ns()}
    socket.send_multipart([b"frame", msgpack.packb(head | now), pixels.tobytes()])
    time.sleep(0.02)
