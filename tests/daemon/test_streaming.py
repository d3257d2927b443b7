"""The live engine as a user meets it: previews, deadlines, overload, restarts, a movie that grows, a run repeated."""

import json
import os
import signal
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from daemon_process import (
    DAEMON,
    Daemon,
    Results,
    account_closes,
    command,
    free_ports,
    posix,
    simulated,
    wait_until,
    within,
)

from daemon.health import Health
from daemon.processing.replay import repeat_run
from daemon.prometheus import MetricsServer
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures

WINDOW, STRIDE = 24, 12


def settings(rate_hz=12, **chosen):
    return simulated(rate_hz=rate_hz, window=WINDOW, stride=STRIDE, **chosen)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run with every output, killed like a machine that loses its power; and what it had published by then."""
    folder = tmp_path_factory.mktemp("streaming")
    (port,) = free_ports(1)
    flags = ["--save", folder / "out.ome.tif", "--record", folder / "raw", "--checkpoint", folder / "model.safetensors"]
    with Daemon(folder, settings(), *flags) as daemon, Results(daemon.results) as results:
        daemon.started().published(5)
        wait_until((folder / "model.safetensors").exists)
        status = daemon.status()
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.exit_code()
    return SimpleNamespace(folder=folder, status=status, results=results, port=port)


@posix
def test_a_preview_comes_first_under_the_same_window_number(run):
    order = [(one.message.window, one.kind) for one in run.results.all if one.kind.startswith("sr.")]
    previewed = {window for window, kind in order if kind == "sr.preview"}
    assert previewed
    for window in previewed & {window for window, kind in order if kind == "sr.refined"}:
        assert order.index((window, "sr.preview")) < order.index((window, "sr.refined"))
    for preview in run.results.of("sr.preview"):
        assert (preview.message.effort, preview.message.estimate) == ("preview", "density")
        assert preview.pixels.shape == run.results.of("sr.refined")[0].pixels.shape


@posix
def test_a_header_says_what_the_picture_was_made_with_and_how_the_account_stands(run):
    headers = run.results.messages("sr.refined")
    assert len({header.model_hash for header in headers}) == len({header.window for header in headers})
    for header in headers:
        assert (header.state, header.frames) == ("cold" if header.window == 0 else "warm", WINDOW)
        frames, windows = header.frame_counts, header.window_counts
        assert frames.sent == frames.received + frames.missing >= header.last_seq + 1
        assert windows.published + windows.skipped <= windows.complete
        assert {"ingest", "density"} <= set(header.stage_ms)
        assert header.memory


@posix
def test_latencies_are_counted_from_the_last_frame_to_the_picture(run):
    latencies = {latency.stage: latency for latency in run.status.latencies}
    assert {"waiting", "ingest", "density", "refined"} <= set(latencies)
    for latency in latencies.values():
        assert 0 <= latency.p50_ms <= latency.p95_ms <= latency.p99_ms
    assert latencies["refined"].p50_ms >= latencies["density"].p50_ms


@posix
def test_the_movie_of_a_killed_daemon_is_whole_up_to_its_last_picture(run):
    saved = read_pictures(run.folder / "out.ome.tif.part")
    published = {one.message.window: one for one in run.results.of("sr.refined")}
    assert len(saved.pictures) == len(saved.records) >= 4
    for picture, record in zip(saved.pictures, saved.records, strict=True):
        if record["window"] in published:
            np.testing.assert_array_equal(picture, published[record["window"]].pixels)
        assert {"first_seq", "last_seq", "missing_seqs", "model_hash", "fine_tuning", "metrics"} <= set(record)


@posix
def test_a_killed_run_is_repeated_from_its_manifest_bit_for_bit(run):
    again = command([*DAEMON, "replay-run", run.folder / "out.manifest.ndjson", "--save", run.folder / "again.ome.tif"])
    assert again.returncode == 0, again.stdout + again.stderr
    lines = [json.loads(line) for line in (run.folder / "out.manifest.ndjson").read_text().splitlines()]
    windows = [line["window"] for line in lines if "window" in line]
    assert again.stdout.splitlines()[-1] == f"{len(windows)} of {len(windows)} pictures equal, bit for bit"
    saved, repeated = (read_pictures(run.folder / name) for name in ("out.ome.tif.part", "again.ome.tif"))
    for picture, other in zip(saved.pictures, repeated.pictures, strict=False):
        np.testing.assert_array_equal(picture, other)
    assert repeated.pixel_nm == saved.pixel_nm
    assert lines[0]["run"]["config"]["reconstruction"]["window"] == WINDOW
    assert set(lines[0]["run"]["versions"]) >= {"selfstorm", "torch", "numpy", "python"}
    assert list((run.folder / "raw").glob("run-*.manifest.ndjson"))


@posix
def test_a_manifest_whose_pictures_come_out_otherwise_says_so(run, tmp_path, capfd):
    lines = (run.folder / "out.manifest.ndjson").read_text().splitlines()
    window = next(number for number, line in enumerate(lines) if line.startswith('{"window"'))
    changed = json.loads(lines[window])
    changed["window"]["picture_hash"] = "0" * 32
    (tmp_path / "changed.manifest.ndjson").write_text("\n".join([*lines[:window], json.dumps(changed)]) + "\n")
    again = within([*DAEMON, "replay-run", tmp_path / "changed.manifest.ndjson"], capfd)
    assert again.returncode == 1
    assert "window 0: DIFFERENT" in again.stdout


@pytest.mark.parametrize("text", ["", "{}\n", '{"window": 3}\n', "no json\n", '{"run": {"format": "other"}}\n'])
def test_what_is_no_manifest_is_refused_by_its_name(tmp_path, text):
    (tmp_path / "no.manifest.ndjson").write_text(text)
    with pytest.raises(InputError, match=r"no\.manifest\.ndjson"):
        list(repeat_run(tmp_path / "no.manifest.ndjson"))


def test_what_is_no_manifest_is_refused_in_a_line(tmp_path, capfd):
    (tmp_path / "no.manifest.ndjson").write_text("no json\n")
    refused = within([*DAEMON, "replay-run", tmp_path / "no.manifest.ndjson"], capfd)
    assert refused.returncode == 2
    assert "no.manifest.ndjson" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(("save", "why"), [("out.ome.tif", "exists already"), ("no/out.ome.tif", "no such folder")])
def test_a_file_that_a_repetition_cannot_write_is_refused_before_it_begins(tmp_path, capfd, save, why):
    (tmp_path / "out.ome.tif").write_text("my thesis")
    (tmp_path / "no.manifest.ndjson").write_text("no json\n")
    refused = within([*DAEMON, "replay-run", tmp_path / "no.manifest.ndjson", "--save", tmp_path / save], capfd)
    assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr


@posix
def test_after_a_kill_the_first_window_is_warm_again(run, tmp_path):
    with Daemon(tmp_path, settings(), "--checkpoint", run.folder / "model.safetensors") as daemon:
        with Results(daemon.results) as results:
            daemon.started().published(1)
            wait_until(results.has("sr.refined"))
        assert results.messages("sr.refined")[0].state == "warm"
        assert "goes on from" in daemon.err


def test_faster_than_any_machine_the_newest_is_shown_and_the_account_closes(tmp_path):
    # So fast by a window every 5 ms; frames are few enough to wait while one of the processes stands still.
    chosen = simulated(rate_hz=400, window=WINDOW, stride=2)
    with Daemon(tmp_path, chosen) as daemon, Results(daemon.results) as results:
        daemon.started().published(3)

        def hurries():
            status = daemon.status()
            return status if status.effort == "quick density" and status.windows.skipped else None

        status = wait_until(hurries)
        assert account_closes(status)
        assert (status.frames.missing, status.windows.failed) == (0, 0)
        wait_until(lambda: any("quick density" in event.text for event in results.events("pace")))

        def says_so():
            return any("to keep up with the camera" in " ".join(one.notes) for one in results.messages("sr.refined"))

        wait_until(says_so)


def test_metrics_are_the_account(tmp_path):
    health = Health(run="run")
    health.frames(sent=5, received=4, missing=1)
    health.latencies({"refined": 250.0})
    (port,) = free_ports(1)
    server = MetricsServer(port, health)
    try:
        with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
            MetricsServer(port, health)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    finally:
        server.stop()
    assert 'selfstorm_frames_total{fate="missing"} 1.0' in text
    assert 'selfstorm_latency_seconds{quantile="0.95",stage="refined"} 0.25' in text
