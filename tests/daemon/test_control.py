"""A daemon is asked for things while it runs: what is done, what is refused and why, and who gets to know."""

import json
from contextlib import contextmanager
from uuid import uuid4

import msgpack
import numpy as np
import pytest
import zmq
from daemon_process import DAEMON, Daemon, Results, account_closes, simulated, wait_until, within

from client import Daemon as Asked
from daemon.control.cropped_view import averaged
from daemon.control.server import REQUESTS_AT_ONCE
from daemon.protocol.codec import decode, encode
from daemon.protocol.messages import VERSION, Request
from daemon.protocol.verbs import VERBS
from daemon.transport.publisher import MAX_FOREIGN
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures

RUNNING = simulated(rate_hz=40, folder="out")
CORRECTED_NM = 105  # the camera reports 100


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    with (
        Daemon(folder, RUNNING, "--save", folder / "sr.ome.tif", "--pixel-nm", CORRECTED_NM) as daemon,
        Results(daemon.results) as results,
        Asked(daemon.started().address, timeout_ms=10_000) as asked,
    ):
        daemon.published(1)
        yield daemon, results, asked


@contextmanager
def connection(endpoint):
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)

        def answer(*parts):
            socket.send_multipart(parts)
            assert socket.poll(10_000), "no answer"
            return socket.recv_multipart()

        yield answer


def request(verb, **arguments):
    return Request(id=uuid4().hex, verb=verb, arguments=arguments)


def shown_with(results, condition):
    """The next refined picture's header that fulfils the condition."""

    def there():
        return next((one.message for one in results.pictures("sr.refined")[::-1] if condition(one.message)), None)

    return wait_until(there)


def test_paused_it_takes_frames_in_and_makes_no_picture(running):
    daemon, results, asked = running
    asked.pause()
    asked.pause()
    first = asked.status()

    def some_skipped():
        now = asked.status()
        enough = now.frames.received >= first.frames.received + 80
        return now if enough and now.windows.skipped_while_paused > first.windows.skipped_while_paused else None

    later = wait_until(some_skipped)
    # One window was perhaps in work when it was paused.
    assert later.windows.published <= first.windows.published + 1
    assert later.windows.skipped >= first.windows.skipped + 1
    assert later.paused
    asked.resume()
    after = daemon.published(later.windows.published + 2)
    assert not after.paused
    assert account_closes(after)
    assert after.frames.missing == 0
    results.event("resumed")
    assert [len(results.events(code)) for code in ("paused", "resumed")] == [1, 1]


def test_settings_change_from_the_next_window_on(running):
    _, results, asked = running
    assert asked.info().role == "control"
    before = asked.info().settings
    # As wide as the frames allow: one that does not fit them is soon replaced by what they tell.
    changed = asked.set({"reconstruction.window": 30, "reconstruction.stride": 15, "optics.psf_sigma_nm": 112.0})
    assert changed["reconstruction.window"] == (before["reconstruction.window"], 30)
    header = shown_with(results, lambda shown: "112 nm" in shown.optics and shown.last_seq - shown.first_seq == 29)
    following = shown_with(results, lambda later: later.window > header.window)  # those between may be skipped
    assert following.first_seq == header.first_seq + 15 * (following.window - header.window)
    assert asked.info().settings["reconstruction.stride"] == 15
    assert results.event("setting_changed").level == "info"
    asked.set({key: before[key] for key in changed})


def test_a_region_is_reconstructed_alone_and_says_where_it_is(running):
    _, results, asked = running
    stream = asked.info().stream
    asked.set({"reconstruction.region": [4, 2, 16, 12]})
    header = shown_with(results, lambda header: header.region is not None)
    assert (tuple(header.region), header.shape) == ((4, 2, 16, 12), (32, 24))
    info = results.messages("info")[-1]
    assert (info.height, info.width) == (16, 12)
    assert info.roi_yx == (stream.roi_yx[0] + 4, stream.roi_yx[1] + 2)
    asked.set({"reconstruction.region": None})
    whole = shown_with(results, lambda later: later.window > header.window and later.region is None)
    assert whole.shape == (2 * stream.height, 2 * stream.width)
    assert account_closes(asked.status())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reconstruction.strid": 5}, "did you mean 'reconstruction.stride'"),
        ({"server.results": "tcp://0.0.0.0:1"}, "cannot be changed while the daemon runs"),
        ({"reconstruction.device": "cuda"}, "cannot be changed while the daemon runs"),
        ({"reconstruction.window": 3}, "must be at least 8"),
        ({"reconstruction.window": {"a": 1}}, "must be a whole number"),
        ({"reconstruction.region": [0, 0, 9999, 4]}, "exceeds the camera's"),
        ({"optics.na": 1.4}, "na and wavelength_nm belong together"),
        ({"reconstruction.stride": 7, "reconstruction.scale": 3}, "scale"),
        ({}, "at least 1"),
    ],
)
def test_what_cannot_be_set_is_refused_in_words_and_nothing_changes(running, changes, why):
    asked = running[2]
    before = asked.info().settings
    with pytest.raises(InputError, match=why):
        asked.set(changes)
    assert asked.info().settings == before


def test_a_snapshot_is_the_picture_that_was_shown(running):
    daemon, results, asked = running
    name = asked.snapshot().name
    saved = results.event("snapshot_saved", before=1).text  # the picture, then the mean of its frames
    assert saved.endswith(name.replace(".ome", "-raw.ome"))
    movie = read_pictures(daemon.config.parent / "out" / name)
    window = movie.records[0]["window"]

    def shown():  # an event may overtake the pictures that wait to be sent
        same = [one for one in list(results.all) if one.kind.startswith("sr.") and one.message.window == window]
        return any(np.array_equal(movie.pictures[0], one.pixels) for one in same)

    wait_until(shown)


def test_recording_begins_and_ends_on_demand(running, capfd):
    daemon, results, asked = running
    folder = asked.record_start()
    assert asked.record_start() == folder
    wait_until(lambda: asked.status().recorded_frames >= 40)
    stopped = within([*DAEMON, "record", "stop", "--daemon", daemon.address], capfd)
    wait_until(lambda: not asked.status().recording)
    (index,) = (daemon.config.parent / folder).glob("*.jsonl")
    seqs = [json.loads(line)["seq"] for line in index.read_text().splitlines()]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len(seqs) >= 40
    with MovieFile(daemon.config.parent / folder) as movie:
        assert movie.pixel_nm == CORRECTED_NM
    assert asked.status().recording_missing == 0
    text = f"stopped: {len(seqs)} frames in {folder}"
    assert (stopped.stdout.strip(), results.event("recording_ended").text) == (text, text)
    assert "nothing is recorded" in within([*DAEMON, "record", "stop", "--daemon", daemon.address], capfd).stdout
    assert [len(results.events(f"recording_{what}")) for what in ("started", "ended")] == [1, 1]


def test_the_model_starts_anew_when_asked_to(running):
    _, results, asked = running
    shown_with(results, lambda header: header.state == "warm")
    last = results.pictures("sr.refined")[-1].message.window
    asked.reset_model()
    assert shown_with(results, lambda header: header.window > last and header.state == "cold")


def test_a_mark_is_seen_by_all_and_kept_in_the_manifest(running):
    daemon, results, asked = running
    number = asked.mark("a vesicle fuses")
    event = results.event("mark")
    assert (event.number, event.text.endswith("a vesicle fuses")) == (number, True)
    manifest = daemon.config.parent / "sr.manifest.ndjson"
    wait_until(lambda: "a vesicle fuses" in manifest.read_text())


def test_a_view_is_the_part_that_was_asked_for_as_coarse_as_asked_for(running):
    daemon, _, asked = running
    before = daemon.status().windows.skipped_while_paused
    asked.pause()  # so that the picture stays

    def stays():
        """The picture once no window is in work any more: one waits, and all others are in the account."""
        shown, now = asked.view("sr.refined"), daemon.status().windows
        made = now.published + now.skipped + now.failed
        last = shown.header.window_counts.published + 1 == now.published
        return shown if last and now.complete == made + 1 and now.skipped_while_paused > before else None

    whole = wait_until(stays)
    height, width = whole.pixels.shape
    np.testing.assert_array_equal(
        asked.view("sr.refined", region=(3, 5, 20, 11)).pixels, whole.pixels[3:23, 5:16], strict=True
    )
    corner = asked.view("sr.refined", region=(height - 5, width - 7, 100, 100), zoom=3)
    assert corner.region == (height - 5, width - 7, 5, 7)
    np.testing.assert_array_equal(corner.pixels, averaged(whole.pixels[-5:, -7:], 3), strict=True)
    assert asked.view("sr.refined", unless=whole) is None
    with pytest.raises(InputError, match="begins outside the picture"):
        asked.view(region=(height, 0, 1, 1))
    asked.resume()


def test_averaging_keeps_the_sum_of_whole_blocks_and_the_mean_of_cut_ones():
    pixels = np.arange(35, dtype=np.float32).reshape(5, 7)
    seen = averaged(pixels, 2)
    assert (seen.shape, seen.dtype) == ((3, 4), np.float32)
    assert seen[0, 0] == pixels[:2, :2].mean()
    assert seen[2, 3] == pixels[4, 6]
    assert seen[2, 0] == pixels[4, :2].mean()


def test_the_same_request_twice_is_done_once(running):
    daemon, _, asked = running
    before, mark = asked.status().events, request("mark", text="once")
    with connection(daemon.control) as answer:
        first, second = (answer(*encode("request", mark)) for _ in range(2))
    assert first == second
    assert [event.text.endswith("once") for event in asked.events(before)].count(True) == 1


@pytest.mark.parametrize(
    ("asking", "why"),
    [
        (Request(id="1", verb="format-disk"), "unknown verb 'format-disk'; these are known: status, info"),
        (Request(id="1", verb="pause", arguments={"for_s": 5}), "'pause', for_s: is not known"),
        (Request(id="1", verb="events", arguments={"since": "all"}), "'events', since: "),
        (Request(id="1", verb="mark", arguments={"text": "x" * 201}), "'mark', text: "),
        (Request(id="1", verb="view", arguments={"region": [0, 0, 0, 5]}), "'view', region"),
    ],
)
def test_what_is_no_request_is_refused_and_counted(running, asking, why):
    daemon, _, asked = running
    with connection(daemon.control) as answer:
        reply = decode(answer(*encode("request", asking))).message
    assert (reply.ok, reply.id) == (False, "1")
    assert reply.error.startswith(why)
    assert any(reason.startswith(why[:60]) for reason in asked.status().refused_requests)


def test_a_client_of_an_older_major_version_is_told_so_in_its_own(running):
    daemon = running[0]
    parts = encode("request", request("status"), version=(VERSION[0] - 1, 4))
    with connection(daemon.control) as answer:
        kind, header = answer(*parts)

    told = msgpack.unpackb(header)
    assert (kind, told["v"]) == (b"reply", [VERSION[0] - 1, 4])
    assert told["error"] == (
        f"protocol {VERSION[0] - 1}.4, this side speaks {VERSION[0]}.{VERSION[1]}: update the older side"
    )


def test_a_client_of_a_newer_minor_version_is_understood(running):
    parts = encode("request", request("status"), version=(VERSION[0], VERSION[1] + 3))
    with connection(running[0].control) as answer:
        assert decode(answer(*parts)).message.ok


def test_who_asks_too_often_is_refused_and_others_are_not(running):
    daemon, _, asked = running
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = socket.rcvhwm = 0
        socket.connect(daemon.control)
        asks = int(REQUESTS_AT_ONCE) * 8  # a daemon that stands still for a moment allows as many again
        for _ in range(asks):
            socket.send_multipart(encode("request", request("info")))
        assert asked.status().state == "running"
        replies = []
        while len(replies) < asks and socket.poll(10_000):
            replies.append(decode(socket.recv_multipart()).message)
    refused = [reply.error for reply in replies if not reply.ok]
    assert set(refused) == {"more than 50 requests a second"}
    assert len(replies) - len(refused) >= REQUESTS_AT_ONCE


def test_who_subscribes_to_ever_more_that_is_never_published_is_cut_and_others_come_back(running):
    daemon, results, asked = running
    why = "a viewer subscribed to a kind that is never published"
    with zmq.Context() as context, context.socket(zmq.XSUB) as socket:
        socket.linger = socket.sndhwm = 0
        socket.connect(daemon.results)
        cut = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for number in range(MAX_FOREIGN + 1):
            socket.send(b"\x01" + number.to_bytes(8))
        assert cut.poll(20_000), "the connection stays, and what it subscribed to"
        cut.close()
        socket.disable_monitor()
    assert asked.status().refused_of_viewers[why] > MAX_FOREIGN
    shown = len(results.pictures("sr.refined"))
    wait_until(lambda: len(results.pictures("sr.refined")) > shown)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_can_be_asked_for_from_a_notebook(verb):
    assert hasattr(Asked, verb.replace("-", "_"))


def test_commands_say_what_they_did(running, capfd):
    daemon, _, asked = running

    def said(*words):
        done = within([*DAEMON, *words, "--daemon", daemon.address], capfd)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert said("set", "reconstruction.stride=10") == "reconstruction.stride: 20 -> 10"
    assert said("set", "reconstruction.stride=10") == "no change: the settings have these values already"
    assert "reconstruction.stride = 10" in said("info")
    assert said("pause") == "paused"
    assert said("status").startswith("running (paused)")
    assert said("resume") == "running"
    wrong = within([*DAEMON, "set", "stride", "--daemon", daemon.address], capfd)
    assert (wrong.returncode, wrong.stderr.strip()) == (
        2,
        "error: 'stride' is not a setting; write KEY=VALUE, such as reconstruction.stride=25",
    )
    asked.set({"reconstruction.stride": 20})
