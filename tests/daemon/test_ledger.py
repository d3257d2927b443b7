"""The account closes whatever becomes of the frames: sent = received + missing, received = used + rejected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.health import Health
from daemon.ingest import loss_events as losses
from daemon.ingest.sequence_ledger import Ledger
from daemon.ingest.stream import Outage, RefusedError, StreamReceiver
from daemon.ingest.windows import SlidingWindows
from daemon.protocol.messages import FrameHeader, Heartbeat
from selfstorm.frames import StreamInfo

STREAM = "0123456789abcdef"
INFO = StreamInfo(stream=STREAM, source="here", height=2, width=3, dtype="uint8")

# What becomes of the next frame; 'again' repeats one that was sent before, 'beat' tells how far the sender is.
FATES = st.lists(st.sampled_from(["arrives", "arrives", "lost", "misfit", "again", "beat"]), max_size=60)


def replayed(fates):
    """(fate, seq) as a subscriber meets them, and the number of frames sent; a last heartbeat closes the stream."""
    seq, arrived, messages = 0, [], []
    for fate in fates:
        if fate == "beat":
            messages.append((fate, seq))
        elif fate == "again":
            messages += [(fate, arrived[len(arrived) // 2])] if arrived else []
        else:
            messages.append((fate, seq))
            arrived += [] if fate == "lost" else [seq]
            seq += 1
    return [*messages, ("beat", seq)], seq


@given(FATES)
def test_sent_is_received_plus_missing_after_every_message(fates):
    ledger = Ledger(STREAM, first_seq=0)
    messages, sent = replayed(fates)
    received = again = 0
    for fate, seq in messages:
        if fate == "beat":
            ledger.reached(seq)
        elif fate != "lost":
            assert (ledger.frame(seq) is None) == (fate == "again")
            received, again = received + (fate != "again"), again + (fate == "again")
        assert ledger.sent == ledger.received + ledger.missing
        assert (ledger.received, ledger.out_of_order) == (received, again)
    assert (ledger.sent, ledger.missing) == (sent, sent - received)


def test_gaps_are_told_when_they_are_found():
    ledger = Ledger(STREAM, first_seq=0)
    assert [ledger.frame(0), ledger.frame(3), ledger.frame(2), ledger.frame(3)] == [0, 2, None, None]
    assert (ledger.reached(10), ledger.reached(10), ledger.reached(4)) == (6, 0, 0)
    assert (ledger.sent, ledger.received, ledger.missing, ledger.out_of_order) == (10, 2, 8, 2)


def header_of(seq, shape):
    return FrameHeader(stream=STREAM, seq=seq, number=seq, shape=shape, dtype="uint8", sent_unix_ns=1)


@given(FATES)
@settings(max_examples=50)
def test_the_account_of_the_daemon_closes_after_every_message(fates):
    health, complete = Health(run="run"), []
    windows = SlidingWindows(INFO, 4, 3, first_seq=0, first_index=0)
    intake = StreamReceiver(INFO, health, complete.append, windows)
    messages, sent = replayed(fates)
    for fate, seq in messages:
        if fate == "beat":
            intake.heartbeat(Heartbeat(stream=STREAM, next_seq=seq, state="running"))
        elif fate == "again":
            with pytest.raises(RefusedError):
                intake.frame(header_of(seq, (2, 3)), np.zeros((2, 3), np.uint8))
        elif fate != "lost":
            shape = (3, 2) if fate == "misfit" else (2, 3)
            intake.frame(header_of(seq, shape), np.zeros(shape, np.uint8))
        frames = health.status().frames
        assert frames.sent == frames.received + frames.missing
        assert frames.received == frames.used + frames.rejected
    assert frames.sent == sent
    misfits = {seq for fate, seq in messages if fate == "misfit"}
    assert misfits.isdisjoint(frame.seq for window in complete for frame in window.frames)


def test_what_was_lost_is_told_at_once_and_more_of_it_gathered(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(losses.time, "monotonic", lambda: now[0])
    health = Health(run="run")
    intake = intake_of(health)
    for next_seq, lost in ((5, 0), (5, 0), (9, 2), (9, 3)):
        intake.heartbeat(Heartbeat(stream=STREAM, next_seq=next_seq, lost_at_source=lost, state="running"))
    now[0] += losses.QUIET_S
    intake.heartbeat(Heartbeat(stream=STREAM, next_seq=9, lost_at_source=3, state="running"))
    told = [(event.code, event.text.split()[0]) for event in health.events_since(0)]
    once = [("frames_missing", "5"), ("lost_at_source", "2")]
    assert told == [*once, ("frames_missing", "4"), ("lost_at_source", "1")]
    frames = health.status().frames
    assert (frames.sent, frames.missing, frames.lost_at_source) == (9, 9, 3)


def test_a_loss_that_goes_on_is_reported_less_and_less_often_and_at_the_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(losses.time, "monotonic", lambda: now[0])
    health = Health(run="run")
    intake = intake_of(health)
    for second in range(60):
        now[0] = 100.0 + second
        state = "running" if second < 59 else "ended"
        counts = {"lost_at_source": second + 1, "lost_in_camera": second + 1}
        intake.heartbeat(Heartbeat(stream=STREAM, next_seq=0, **counts, state=state))
    texts = [event.text for event in health.events_since(0)]
    assert [text.split()[1] for text in texts] == ["1", "5", "10", "20", "24"]  # 60 in all
    assert texts[0].startswith("about 1 frame was lost at the source, inside the camera")
    assert texts[0].index("busy") < texts[0].index("cable")


def intake_of(health, complete=lambda window: None, source="here", outage=None):
    info = INFO.model_copy(update={"source": source, "rate_hz": 100.0})
    windows = SlidingWindows(info, 4, 4, first_seq=0, first_index=0)
    return StreamReceiver(info, health, complete, windows, outage)


def test_losses_are_told_by_the_place_where_they_happened():
    health = Health(run="run")
    intake = intake_of(health)
    intake.heartbeat(Heartbeat(stream=STREAM, next_seq=2, lost_at_source=7, lost_in_camera=3, state="running"))
    told = {event.code: event.text for event in health.events_since(0)}
    assert told["frames_missing"].startswith("2 frames were lost in transit")
    assert told["lost_at_source"].startswith("4 frames were lost at the source, in the camera's buffer")
    assert told["lost_in_camera"].startswith("about 3 frames were lost at the source, inside the camera")
    assert health.status().frames.lost_at_source == 7


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("replay:cell.tif", "missing_in_recording", "3 frames are missing in what is played"),
        ("ndtiff:acq", "missing_in_data_set", "3 frames are missing in the data set"),
        ("mmcore:", "lost_at_source", "3 frames were lost at the source, in the camera's buffer"),
    ],
)
def test_a_gap_in_the_numbers_is_said_as_what_it_is(source, code, text):
    health = Health(run="run")
    intake_of(health, source=source).heartbeat(Heartbeat(stream=STREAM, next_seq=0, lost_at_source=3, state="running"))
    [event] = health.events_since(0)
    assert (event.code, event.text.startswith(text)) == (code, True)
    assert health.status().frames.lost_at_source == 3


@pytest.mark.parametrize(("source", "lost"), [("ndtiff:acq", 0), ("replay:cell.tif", 0), ("mmcore:", 200)])
def test_an_outage_costs_no_frame_that_lies_on_a_disk(source, lost):
    health = Health(run="run")
    intake = intake_of(health, source=source, outage=Outage(last_number=41, away_s=2.0))
    intake.frame(header_of(0, (2, 3)), np.zeros((2, 3), np.uint8))  # number 0: another data set
    [event] = health.events_since(0)
    told = ("frames_lost_in_outage", "not captured") if lost else ("source_resumed", "frames go on with number 0")
    assert (event.code, told[1] in event.text) == (told[0], True)
    assert health.status().frames.estimated_lost_in_outages == lost


@pytest.mark.parametrize(
    "nonsense",
    [{"next_seq": 2**62}, {"next_seq": 5, "lost_at_source": 2**62}, {"next_seq": 5, "lost_in_camera": 1}],
)
def test_a_count_that_cannot_be_true_is_refused_and_changes_nothing(nonsense):
    health = Health(run="run")
    intake = intake_of(health)
    before = health.status().frames
    with pytest.raises(RefusedError):
        intake.heartbeat(Heartbeat(stream=STREAM, state="running", **nonsense))
    assert health.status().frames == before


def test_a_gap_of_hours_is_counted_at_once():
    health, complete = Health(run="run"), []
    intake = intake_of(health, complete.append)
    intake.frame(header_of(0, (2, 3)), np.zeros((2, 3), np.uint8))
    intake.frame(header_of(9_000_001, (2, 3)), np.zeros((2, 3), np.uint8))
    intake.heartbeat(Heartbeat(stream=STREAM, next_seq=9_000_004, state="running"))
    status = health.status()
    assert (status.frames.sent, status.frames.missing) == (9_000_004, 9_000_002)
    assert len(complete) + status.windows.skipped == 9_000_004 // 4
    assert [[frame.seq for frame in window.frames] for window in (complete[0], complete[-1])] == [[0], [9_000_001]]
    assert complete[-1].index == 9_000_004 // 4 - 1
