"""States of the viewer for tests of the trust strip, and what it says of them."""

from client_stream import header, pixels, status

from client.state import ViewerState, reduce_message
from client.trust.indicators import indicators, sentence
from daemon.protocol.codec import Received
from daemon.protocol.messages import FrameCounts, WindowCounts
from selfstorm.frames import StreamInfo

ENDPOINT = "tcp://127.0.0.1:5711"
CLEAN = {
    "frames": FrameCounts(sent=9_000, received=9_000, used=9_000),
    "windows": WindowCounts(complete=90, published=90),
}
WELL = {"misfit": 0.01, "latency_ms": 2_900.0}


def seen(*messages, now=0.0, state=None):
    state = state or ViewerState(ENDPOINT)
    for message in messages:
        kind = "info" if isinstance(message, StreamInfo) else "status"
        state = reduce_message(state, Received(kind, message), now)
    return state


def said(**other):
    return status(**(CLEAN | other))


def with_picture(known, now=0.0, window=0, **other):
    for kind in ("sr.refined", "raw.mean"):
        one = header(kind, window, **other)
        known = reduce_message(known, Received(kind, one, pixels(one.shape)), now)
    return known


def lamp(state, name, now=0.0):
    return next(one for one in indicators(state, now) if one.name == name)


def verdict(state, now=0.0):
    return sentence(state, indicators(state, now))


def with_preview(known, window, **other):
    for kind in ("sr.preview", "raw.mean"):
        one = header(kind, window, grade="preview", effort="preview", **other)
        known = reduce_message(known, Received(kind, one, pixels(one.shape)), 0.0)
    return known
