"""Messages survive the wire, and nothing else does: what is no message is refused in words."""

from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.protocol.codec import MAX_HEADER_BYTES, MalformedMessageError, decode, encode
from daemon.protocol.messages import (
    KINDS,
    VERSION,
    Event,
    FrameCounts,
    FrameHeader,
    Heartbeat,
    MetricDescriptions,
    PictureHeader,
    Reply,
    Request,
    Status,
    View,
)
from selfstorm.frames import StreamInfo
from selfstorm.metrics.metric import MetricDescription

STREAM = "0123456789abcdef"
PICTURE = PictureHeader(
    run="run",
    window=3,
    stream=STREAM,
    shape=(4, 6),
    pixel_nm=25.0,
    first_seq=60,
    last_seq=79,
    frames=18,
    missing=2,
    missing_seqs=(61, 70),
    notes=("two frames never arrived",),
    published_unix_ns=1,
)
FRAME = FrameHeader(stream=STREAM, seq=7, number=-1, shape=(2, 3), dtype="uint16", camera_ms=1.5, sent_unix_ns=2)
FRAME_PIXELS = np.arange(6, dtype=np.uint16).reshape(2, 3)
PICTURE_PIXELS = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
EXAMPLES = {
    "frame": (FRAME, FRAME_PIXELS),
    "info": (StreamInfo(stream=STREAM, source="simulate:", height=2, width=3, dtype="uint16", roi_yx=(4, 5)), None),
    "heartbeat": (Heartbeat(stream=STREAM, next_seq=8, state="running", detail="µ"), None),
    "sr.preview": (PICTURE, PICTURE_PIXELS),
    "sr.refined": (PICTURE.model_copy(update={"stage_ms": {"density": 40.5}}), PICTURE_PIXELS),
    "raw.mean": (PICTURE, PICTURE_PIXELS),
    "quality": (
        PICTURE.model_copy(
            update={"region": (1, 2, 4, 6), "metrics": {"agreement": 0.9, "misfit": 0.02}, "grade": "reduced"}
        ),
        PICTURE_PIXELS,
    ),
    "trust": (PICTURE.model_copy(update={"estimate": "trust map", "unit": "a.u.", "scale": 1}), PICTURE_PIXELS),
    "accumulated": (
        PICTURE.model_copy(update={"estimate": "accumulated", "scene": 2, "drift_nm": (3.5, -1.0)}),
        PICTURE_PIXELS,
    ),
    "metrics": (
        MetricDescriptions(
            metrics=(MetricDescription(key="misfit", label="Misfit", unit="%", better="lower", warn=0.1),)
        ),
        None,
    ),
    "status": (
        Status(
            run="run", version="1", state="running", frames=FrameCounts(sent=2, received=2), metrics={"misfit": 0.02}
        ),
        None,
    ),
    "event": (Event(run="run", number=0, unix_ns=1, level="warning", code="gone", text="it is gone"), None),
    "request": (Request(id="a", verb="set", arguments={"changes": {"reconstruction.stride": 25}}), None),
    "view": (
        View(
            id="a", kind="sr.refined", picture=PICTURE, region=(0, 0, 4, 6), zoom=1, shape=(4, 6), codec="shuffle-zstd"
        ),
        PICTURE_PIXELS,
    ),
    "reply": (Reply(id="a", ok=True, result={"state": "running", "frames": {"sent": 1}}), None),
}


def parts_of(kind="frame"):
    return [bytes(part) for part in encode(kind, *EXAMPLES[kind])]


def frame_parts(pixels=None, **changes):
    """A frame whose header has these keys instead; None leaves one out."""
    kind, header, right = parts_of()
    fields = msgpack.unpackb(header) | changes
    header = msgpack.packb({key: value for key, value in fields.items() if value is not None})
    return [kind, header, right if pixels is None else pixels]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was_sent(kind):
    message, pixels = EXAMPLES[kind]
    received = decode(parts_of(kind))
    assert (received.kind, received.message) == (kind, message)
    if pixels is None:
        assert received.pixels is None
    else:
        np.testing.assert_array_equal(received.pixels, pixels, strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "float32"])
def test_pixels_of_every_type_in_any_memory_order(dtype):
    pixels = np.arange(12).reshape(3, 4).astype(dtype)
    header = FRAME.model_copy(update={"shape": (3, 2), "dtype": dtype})
    for layout in (
        pixels[:, ::2],
        np.asfortranarray(pixels)[:, ::2],
        pixels.astype(f">{pixels.dtype.str[1:]}")[:, ::2],
    ):
        np.testing.assert_array_equal(decode(encode("frame", header, layout)).pixels, pixels[:, ::2], strict=True)


def test_pixels_are_a_read_only_view_of_what_was_received():
    kind, header, sent = encode("frame", FRAME, FRAME_PIXELS)
    buffer = bytearray(sent)
    seen = decode([kind, header, memoryview(buffer)]).pixels
    assert np.shares_memory(seen, np.frombuffer(buffer, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        seen[0, 0] = 1


def test_sending_copies_no_contiguous_pixels():
    assert np.shares_memory(np.frombuffer(encode("frame", FRAME, FRAME_PIXELS)[2], np.uint8), FRAME_PIXELS)


def test_a_newer_minor_version_with_more_to_say_is_understood():
    parts = frame_parts(v=[VERSION[0], VERSION[1] + 7], polarisation="circular")
    assert decode(parts).message == FRAME


KIND, HEADER, PIXELS = parts_of()
DEEP = b"\x91" * 60_000 + b"\xc0"
MALFORMED = {
    "no parts": ([], "0 parts instead of 2 or 3"),
    "one part": ([KIND], "1 parts instead"),
    "four parts": ([KIND, HEADER, PIXELS, b""], "4 parts instead"),
    "unknown kind": ([b"pickle", HEADER, PIXELS], "unknown kind 'pickle'"),
    "empty kind": ([b"", HEADER, PIXELS], "unknown kind ''"),
    "endless kind": ([b"frame" * 1000, HEADER, PIXELS], "unknown kind"),
    "kind not ASCII": ([b"\xff", HEADER, PIXELS], "not ASCII"),
    "empty header": ([KIND, b"", PIXELS], "not msgpack"),
    "not msgpack": ([KIND, b"\xc1", PIXELS], "not msgpack"),
    "cut short": ([KIND, HEADER[:-1], PIXELS], "not msgpack"),
    "more behind it": ([KIND, HEADER + b"\x00", PIXELS], "not msgpack"),
    "not a map": ([KIND, msgpack.packb([1, 2]), PIXELS], "not a map"),
    "a nested bomb": ([KIND, DEEP, PIXELS], "not msgpack"),
    "a nested bomb inside": ([KIND, b"\x81\xa1v" + DEEP, PIXELS], "not msgpack"),
    "promised length": ([KIND, b"\xdd\xff\xff\xff\xff", PIXELS], "not msgpack"),
    "extension type": ([KIND, b"\x81\xa1v\xc7\x05\x01aaaaa", PIXELS], "not msgpack"),
    "no version": (frame_parts(v=None), "names no protocol version"),
    "version a string": (frame_parts(v="1.0"), "names no protocol version"),
    "version of three": (frame_parts(v=[1, 0, 0]), "names no protocol version"),
    "version of truths": (frame_parts(v=[True, False]), "names no protocol version"),
    "other major version": (frame_parts(v=[9, 4]), rf"protocol 9\.4, this side speaks {VERSION[0]}\.{VERSION[1]}"),
    "key missing": (frame_parts(seq=None), "'frame' header, seq: "),
    "negative seq": (frame_parts(seq=-1), "'frame' header, seq: "),
    "seq too large": (frame_parts(seq=2**63), "'frame' header, seq: "),
    "seq a string": (frame_parts(seq="7"), "'frame' header, seq: "),
    "seq a truth": (frame_parts(seq=True), "'frame' header, seq: "),
    "seq a fraction": (frame_parts(seq=7.5), "'frame' header, seq: "),
    "time a string": (frame_parts(camera_ms="soon"), "'frame' header, camera_ms: "),
    "endless name": (frame_parts(stream="s" * 65), "'frame' header, stream: "),
    "unknown dtype": (frame_parts(dtype="float64"), "'frame' header, dtype: "),
    "object dtype": (frame_parts(dtype="object"), "'frame' header, dtype: "),
    "shape of three": (frame_parts(shape=[1, 2, 3]), "'frame' header, shape"),
    "empty side": (frame_parts(shape=[0, 3]), r"'frame' header, shape\.0: "),
    "negative sides": (frame_parts(shape=[-2, -3]), r"'frame' header, shape\.0: "),
    "endless side": (frame_parts(shape=[2**40, 3]), r"'frame' header, shape\.0: "),
    "shape says more": (frame_parts(shape=[2, 4]), r"12 bytes of pixels, but \(2, 4\) uint16 takes 16"),
    "shape says less": (frame_parts(shape=[2, 2]), r"12 bytes of pixels, but \(2, 2\) uint16 takes 8"),
    "other dtype": (frame_parts(dtype="uint8"), r"12 bytes of pixels, but \(2, 3\) uint8 takes 6"),
    "pixels too large": (frame_parts(shape=[16_384, 16_384], dtype="float32"), "12 bytes of pixels, but"),
    "empty pixels": (frame_parts(b""), "0 bytes of pixels"),
    "no pixels": ([KIND, HEADER], "'frame' carries no pixels"),
    "pixels on a kind without": ([*parts_of("status"), b"\x00"], "'status' must not carry pixels"),
    "header too large": ([KIND, b"\xc0" * (MAX_HEADER_BYTES + 1), PIXELS], f"more than {MAX_HEADER_BYTES}"),
    "header of another kind": ([KIND, parts_of("status")[1], PIXELS], "'frame' header, "),
}


@pytest.mark.parametrize(("parts", "why"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_message_is_refused_and_told_why(parts, why):
    with pytest.raises(MalformedMessageError, match=why):
        decode(parts)


def decodes_or_is_malformed(parts):
    with suppress(MalformedMessageError):
        decode(parts)


words = st.text(max_size=9) | st.binary(max_size=9)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_subnormal=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(sorted(KINDS))


@given(kind=kinds.map(str.encode) | st.binary(max_size=9), rest=st.lists(st.binary(max_size=64), max_size=3))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_in_one_way_only(kind, rest):
    decodes_or_is_malformed([kind, *rest])


@given(kind=kinds, data=st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_messages_are_refused_in_one_way_only(kind, data):
    name, header, *pixels = parts_of(kind)
    fields = msgpack.unpackb(header)
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), values, max_size=3))
    decodes_or_is_malformed([name, msgpack.packb(fields | changed), *pixels])


@given(kind=kinds, data=st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_bytes_are_refused_in_one_way_only(kind, data):
    parts = [bytearray(part) for part in parts_of(kind)]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    decodes_or_is_malformed([bytes(part) for part in parts])


@pytest.mark.parametrize("pixel_nm", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_that_cannot_be_is_refused(pixel_nm):
    message, pixels = EXAMPLES["sr.refined"]
    with pytest.raises(MalformedMessageError, match="pixel_nm"):
        decode(encode("sr.refined", message.model_copy(update={"pixel_nm": pixel_nm}), pixels))
