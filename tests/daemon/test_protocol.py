"""What is on the wire stays what it was, and PROTOCOL.md says what it is."""

import json
import re
import sys
from pathlib import Path
from typing import get_args

import msgpack
import numpy as np
import pytest
import zmq
from daemon_process import Daemon, command, simulated
from test_codec import EXAMPLES, parts_of

import daemon.protocol
from daemon.cli import FRAMES
from daemon.config import ServerSection
from daemon.control.request_handler import MAX_EVENTS, VIEWED_PX_AT_ONCE, VIEWED_PX_HZ
from daemon.control.server import KEPT_S, MAX_ANSWERS_KEPT, REQUESTS_AT_ONCE, REQUESTS_HZ
from daemon.ingest.sequence_ledger import LONGEST_GAP
from daemon.protocol.codec import (
    MAX_ENTRIES,
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    MAX_PIXEL_BYTES,
    MalformedMessageError,
    decode,
)
from daemon.protocol.findings import SILENT_AFTER_S
from daemon.protocol.messages import KINDS, MAX_LISTED_MISSING, VERSION, Event, FrameCounts, PictureHeader, Request
from daemon.protocol.verbs import VERBS, Mark
from daemon.transport.publisher import MAX_FOREIGN, RESTART_INTERVAL_S
from daemon.transport.server_socket import KEEPALIVE
from selfstorm.frames import MAX_SIDE_PX, StreamInfo
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.metric_table import MAX_METRICS
from selfstorm.metrics.registry import METRICS

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
VERSIONS = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}
NOW = ".".join(map(str, VERSION))
OLDER = [version for version in VERSIONS if int(version.split(".")[0]) < VERSION[0]]
TEXT = (Path(daemon.protocol.__path__[0]) / "PROTOCOL.md").read_text(encoding="utf-8")


def golden(version, kind):
    return [bytes.fromhex(part) for part in VERSIONS[version][kind]]


def has_all_of(read, told):
    """Whether all that was told was read; keys that are newer than the message have their defaults."""
    if isinstance(told, dict):
        return all(key in read and has_all_of(read[key], value) for key, value in told.items())
    if isinstance(told, tuple):
        return len(read) == len(told) and all(map(has_all_of, read, told))
    return read == told


def test_there_are_golden_bytes_of_this_version_for_every_kind():
    assert set(VERSIONS[NOW]) == set(KINDS) == set(EXAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_this_version_writes_its_golden_bytes(kind):
    """Who changes a message gives it another version, and golden bytes of it: tests/daemon/golden."""
    assert parts_of(kind) == golden(NOW, kind)


@pytest.mark.parametrize(("version", "kind"), [(v, k) for v in VERSIONS if v not in OLDER for k in VERSIONS[v]])
def test_golden_bytes_of_every_minor_version_are_read(version, kind):
    name, header, *pixels = golden(version, kind)
    received = decode([name, header, *pixels])
    told = msgpack.unpackb(header, use_list=False)
    read = received.message.model_dump()
    assert told.pop("v") == tuple(map(int, version.split(".")))
    assert has_all_of(read, told)
    if pixels and kind != "view":
        assert received.pixels.tobytes() == pixels[0]
    elif pixels:
        np.testing.assert_array_equal(received.pixels, EXAMPLES["view"][1], strict=True)


@pytest.mark.parametrize(("version", "kind"), [(v, kind) for v in OLDER for kind in VERSIONS[v]])
def test_golden_bytes_of_an_older_major_version_are_rejected_in_one_line(version, kind):
    with pytest.raises(MalformedMessageError, match=f"^protocol {version}, this side speaks {NOW}: update") as told:
        decode(golden(version, kind))
    assert "\n" not in str(told.value)


KEEPALIVE_S = KEEPALIVE[zmq.TCP_KEEPALIVE_IDLE] + KEEPALIVE[zmq.TCP_KEEPALIVE_INTVL] * KEEPALIVE[zmq.TCP_KEEPALIVE_CNT]


def limit_of(model, key, rule="max_length"):
    """The limit that a rule sets to a key of a message: the longest text or list, the highest number, ..."""
    field = model.model_fields[key]
    outer = [
        *field.metadata,
        *(one for part in get_args(field.annotation) for one in getattr(part, "__metadata__", ())),
    ]
    rules = [one for inner in outer for one in (inner, *getattr(inner, "metadata", ()))]
    return next(value for one in rules if (value := getattr(one, rule, None)) is not None)


def port_of(endpoint):
    """The port of an address in the configuration."""
    return int(getattr(ServerSection(), endpoint).split(":")[-1])


KEY_CHARACTERS = 1 + int(re.search(r",(\d+)\}", limit_of(MetricDescription, "key", "pattern")).group(1))
COUNT_BITS = (limit_of(FrameCounts, "sent", "lt") - 1).bit_length()


def number(pattern):
    """The number in the text, which is one line after all white space is made single blanks."""
    [found] = re.findall(pattern, " ".join(TEXT.split()))
    return float(found.replace(",", ""))


NUMBERS = [
    (r"header ([\d,]+) bytes", MAX_HEADER_BYTES),
    (r"([\d,]+) entries in a map", MAX_ENTRIES),
    (r"([\d,]+) in a list", MAX_ITEMS),
    (r"pixels ([\d,]+) bytes", MAX_PIXEL_BYTES),
    (r"a side ([\d,]+) pixels", MAX_SIDE_PX),
    (r"jumps by more than ([\d,]+),", LONGEST_GAP),
    (r"no message for (\d+) s means", SILENT_AFTER_S),
    (r"machines that are gone after (\d+) s", KEEPALIVE_S),
    (r"`missing_seqs`, at most (\d+)", MAX_LISTED_MISSING),
    (r"\{key: float\} = \{\}, at most (\d+)", MAX_METRICS),
    (r"list of at most (\d+) of \{`key`", MAX_METRICS),
    (r"more than (\d+) a second \(", REQUESTS_HZ),
    (r"a second \((\d+) at once\)", REQUESTS_AT_ONCE),
    (r"answered within the last (\d+) s", KEPT_S),
    (r"more than ([\d,]+) changes within", MAX_ANSWERS_KEPT),
    (r"changes within (\d+) s", KEPT_S),
    (r"more than ([\d,]+) pixels a second", VIEWED_PX_HZ),
    (r"pixels a second \(([\d,]+) at once", VIEWED_PX_AT_ONCE),
    (r"`events`: at most (\d+) from", MAX_EVENTS),
    (r"`text`: at most (\d+) characters", limit_of(Mark, "text")),
    (r"`refused_of_viewers`; after ([\d,]+) of them", MAX_FOREIGN),
    (r"binds again, at most every (\d+) s", RESTART_INTERVAL_S),
    (r"`text` up to ([\d,]+)", limit_of(Event, "text")),
    (r"`name` text up to (\d+)", limit_of(Event, "code")),
    (r"`source` text to ([\d,]+)", limit_of(StreamInfo, "source")),
    (r"`camera` text to (\d+)", limit_of(StreamInfo, "camera")),
    (r"`notes`, at most (\d+) texts", limit_of(PictureHeader, "notes")),
    (r"`stage_ms` \{name: float\}, at most (\d+)", limit_of(PictureHeader, "stage_ms")),
    (r"`id` \(1 to (\d+) characters", limit_of(Request, "id")),
    (r"\((\d+) to 64 of `0-9A-Za-z_-`\)", limit_of(StreamInfo, "stream", "min_length")),
    (r"\(8 to (\d+) of `0-9A-Za-z_-`\)", limit_of(StreamInfo, "stream")),
    (r"`count` 0 to 2\^(\d+)-1", COUNT_BITS),
    (r"`side` 1 to ([\d,]+)\.", MAX_SIDE_PX),
    (r"`bit_depth` 1 to (\d+) =", limit_of(StreamInfo, "bit_depth", "le")),
    (r"`binning` 1 to (\d+) =", limit_of(StreamInfo, "binning", "le")),
    (r"`scale` 1 to (\d+) =", limit_of(PictureHeader, "scale", "le")),
    (r"`key`: 1 to (\d+) of", KEY_CHARACTERS),
    (r"`label` text to (\d+)", limit_of(MetricDescription, "label")),
    (r"`unit` text to (\d+)", limit_of(MetricDescription, "unit")),
    (r"`digits` 0 to (\d+)", limit_of(MetricDescription, "digits", "le")),
    (r"`hint` text to (\d+)", limit_of(MetricDescription, "hint")),
    (r"`unjudged`: at most (\d+) estimates", limit_of(MetricDescription, "unjudged")),
    (r"results \| the daemon, tcp://127\.0\.0\.1:(\d+)", port_of("results")),
    (r"control \| the daemon, tcp://127\.0\.0\.1:(\d+)", port_of("control")),
]
METRIC_ROW = r"^\| `(\w+)` \| ([^|]*) \| (higher|lower|) \| ([\d.]*) \| ([\d.]*) \|$"
NO_LIMITS = {*"012345", NOW, "26", "27", "400", "2119"}  # of lists and sections, a version, RFCs, a status


@pytest.mark.parametrize(("pattern", "value"), NUMBERS)
def test_numbers_of_the_text_are_those_of_the_code(pattern, value):
    assert number(pattern) == value


def test_every_number_of_the_text_is_compared_with_the_code():
    """The table of metrics and the example are compared by tests of their own."""
    text = re.sub(rf"```(?s:.*?)```|{METRIC_ROW}|https?:\S+", "", TEXT[: TEXT.index("## 6.")], flags=re.MULTILINE)
    text = " ".join(text.split())
    spans = (found.span() for pattern, _ in NUMBERS for found in re.finditer(pattern, text))
    known = {place for span in spans for place in range(*span)}
    numbers = re.finditer(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w-])", text)
    new = [one for one in numbers if one.start() not in known and one.group().rstrip(",.") not in NO_LIMITS]
    assert not [text[max(0, one.start() - 30) : one.end() + 20] for one in new]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_ports_of_the_pages_are_those_of_the_configuration(page):
    ports = set(re.findall(r"[A-Za-z0-9.*-]+:(57\d\d)\b", page.read_text(encoding="utf-8")))
    server = ServerSection()
    assert ports <= {address.split(":")[-1] for address in (server.results, server.control, FRAMES)}


def test_the_table_of_metrics_is_that_of_the_code():
    rows = re.findall(METRIC_ROW, TEXT, re.MULTILINE)
    given = [(m.key, m.unit, m.better or "", _plain(m.warn), _plain(m.bad)) for m in METRICS]
    assert [tuple(cell.strip() for cell in row) for row in rows] == given


def _plain(threshold):
    return "" if threshold is None else f"{threshold:g}"


def test_the_text_is_of_this_version_and_names_every_kind_verb_and_key():
    assert TEXT.startswith(f"# The wire protocol, version {NOW}\n")
    for word in (*KINDS, *VERBS):
        assert f"`{word}`" in TEXT, word
    headers = TEXT[TEXT.index("## 5.") : TEXT.index("## 6.")]
    for kind, message in KINDS.items():
        for key in message.model_fields:
            assert re.search(rf"\b{key}\b", headers), f"{kind}.{key}"
    for limit in (MAX_HEADER_BYTES, MAX_ENTRIES, MAX_ITEMS):
        assert f"{limit:,}" in TEXT


def test_the_example_client_runs_as_it_stands_there(tmp_path):
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(example.splitlines()) <= 35
    client = tmp_path / "client.py"
    client.write_text(example, encoding="utf-8")
    with Daemon(tmp_path, simulated()) as running:
        running.started()
        done = command([sys.executable, client, running.results, 2])
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("window ")]
    assert [re.sub(r"\d+", "N", line) for line in lines] == [
        "window N: (N, N), N.N nm a pixel, frames N-N, N missing"
    ] * 2
    assert "(64, 64), 50.0 nm a pixel" in lines[0]
