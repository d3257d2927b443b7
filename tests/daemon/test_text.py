"""Text from outside, made safe: it is one line, of printable characters, and never too long for a message."""

import logging
import threading

import numpy as np
import pytest

from daemon.control.commands import account
from daemon.health import Health
from daemon.protocol.codec import encode
from daemon.protocol.messages import Status
from daemon.sources.stream_publisher import StreamPublisher
from selfstorm.cli import cli
from selfstorm.commands import console
from selfstorm.frames import StreamInfo
from selfstorm.io.ome_tiff import OmeTiffWriter
from selfstorm.printable import MAX_CHARACTERS, printable

NASTY = ["\x1b[2J\x1b[31mgone", "one\ntwo\rthree", "half \ud800 a character", "\x00\x07", "right \u202e to left"]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_but_printable_characters_is_left(text):
    assert printable(text).isprintable()
    assert printable(text).encode("utf-8")


def test_what_is_printable_stays_as_it_is():
    assert printable("Löschung bei 561 nm, 5 µm 顕微鏡") == "Löschung bei 561 nm, 5 µm 顕微鏡"


@pytest.mark.parametrize("length", [MAX_CHARACTERS - 1, MAX_CHARACTERS, MAX_CHARACTERS + 1, 10**6])
def test_a_text_is_cut_where_it_enters(length):
    assert len(printable("x" * length)) == min(length, MAX_CHARACTERS)
    assert len(printable("\x1b" * length)) == MAX_CHARACTERS
    health = Health(run="run")
    health.event("error", "window_failed", "x" * length)
    health.report(detail="y" * length, source="z" * length, saving="s" * length, recording="r" * length)
    assert encode("event", health.events_since(0)[0])
    assert encode("status", health.status())


@pytest.mark.parametrize("text", NASTY)
def test_events_and_status_carry_no_control_characters(text, caplog):
    health = Health(run="run")
    with caplog.at_level(logging.INFO):
        health.event("info", "mark", text)
    health.report(detail=text, source=text)
    assert health.events_since(0)[0].text.isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert (health.status().detail + health.status().source).isprintable()


@pytest.mark.parametrize("text", [*NASTY, "x" * 3000, "Kamera \udce9 links"])
def test_a_driver_may_name_a_camera_in_any_code_page_and_a_file_too(text):
    """Half a character is what Python makes of a byte that is not UTF-8: of a label on Windows, or of a path."""
    stop = threading.Event()
    with StreamPublisher("tcp://127.0.0.1:*", stop, lossless=False) as publisher:
        info = StreamInfo(stream="stream-1", source=f"replay:{text}.tif", camera=text, height=6, width=8, dtype="uint8")
        publisher.begin(info)
        publisher.say("waiting", text)
        publisher.stand_still(1.0, text)
        assert encode("info", info)
        assert publisher._heartbeat().detail.isprintable()


@pytest.mark.parametrize("text", NASTY)
def test_a_command_prints_no_control_characters_of_another_daemon(text):
    status = Status(run="run", version="1", state="running", detail=text.replace("\ud800", ""), source="x\x1b[2J")
    assert all(line.isprintable() for line in account(status).split("\n"))


def printed(capsys, *words):
    with pytest.raises(SystemExit) as left:
        console.run(cli, list(map(str, words)))
    return left.value.code, "".join(capsys.readouterr())


@pytest.mark.parametrize("text", NASTY)
def test_info_prints_no_control_characters_of_a_file(tmp_path, capsys, text):
    text = text.replace("\ud800", "")
    record = {"window": 0, "notes": [text], "verdict": text, "command": text, "metrics": {"misfit": 1.0, text: 2.0}}
    with OmeTiffWriter(tmp_path / "out.ome.tif", 25.0) as writer:
        writer.add(np.ones((4, 4), np.float32), record)
    code, said = printed(capsys, "info", tmp_path / "out.ome.tif")
    assert code == 0
    assert said.count("\n") == 5
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", NASTY)
def test_an_error_prints_no_control_characters_of_a_name(tmp_path, capsys, text):
    code, said = printed(capsys, "info", tmp_path / text.translate({0: None, 0xD800: 0xDCE9}))
    assert (code, said.count("\n")) == (2, 1)
    assert said.replace("\n", "").isprintable()


OTHERS = [
    ("notes", 7),
    ("metrics", 7),
    ("metrics", "x"),
    ("metrics", [1]),
    ("verdict", {"a": [None]}),
    ("first_seq", None),
]


@pytest.mark.parametrize(("key", "value"), OTHERS)
def test_info_of_a_record_of_another_program_is_no_traceback(tmp_path, capsys, key, value):
    with OmeTiffWriter(tmp_path / "out.ome.tif", 25.0) as writer:
        writer.add(np.ones((4, 4), np.float32), {"window": 0, key: value})
    code, said = printed(capsys, "info", tmp_path / "out.ome.tif")
    assert (code, "picture 0" in said) == (0, True)
