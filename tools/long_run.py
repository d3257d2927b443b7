"""Long run of a daemon under disturbance.

Its accounts must close, its memory must not grow, and its files must be readable.

    python tools/long_run.py [--minutes 30] [--seed 1]

A daemon records, saves and keeps a checkpoint while this program sends frames between mutated messages (fuzz.py),
changes settings at random, kills and stops the recorder and begins other recordings, lowers the limits of open files
and of file sizes, holds thousands of connections, lets the console block, and sets the clock forth and back.
PROTOCOL.md's subscriber stands still for a minute at a time.
Linux only (limits and memory of another process).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import click
from disturbances import CLOCK, DAEMON_WITH_CLOCK, Console, Disturbances
from fuzz import HOST, Attack, GoodFrames, Ports, memory_mb
from mutations import VERBS

from daemon.control.client import ControlClient, ask
from daemon.file_limit import raise_file_limit
from daemon.processing.manifest import ManifestLine
from daemon.protocol.messages import Status
from selfstorm.errors import InputError
from selfstorm.io.movies import MovieFile
from selfstorm.io.ome_tiff import read_pictures

SUBSCRIBER = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 20)
socket.subscribe(b"")
socket.connect(sys.argv[1])
while True:
    time.sleep(60)
    while socket.poll(0):
        socket.recv_multipart()
"""
SUBSCRIBERS = 4
MESSAGES_A_ROUND, FRAMES_A_ROUND = 60, 5
FRAMES_TOGETHER = 60  # without mutated messages between, which begin other streams: windows are completed
MAX_GROWTH_MB = 80.0
MAX_LATENCY_MS = 600_000.0
MAX_ANSWER_S = 0.5  # of control, whatever happens beside it
ROW_S = 60.0
LOG_CHARACTERS = 3000  # the last ones, where the daemon ended
START_MS = 600_000
ACCOUNT_S = 15.0  # until the last frames are counted
RECORDER_S = 90.0  # until a recorder that was killed at the end records again
WARM_UP = 0.3  # share of the time before memory is measured first


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(minutes: float, seed: int) -> None:
    """Disturb a daemon and report every fault; exit code 1 if there is one."""
    raise_file_limit()  # for the connections
    ports, faults = Ports(), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "run.toml").write_text(ports.config(), encoding="utf-8")
        attack = Attack(ports, seed, stack, tuple(verb for verb in VERBS if verb != "record-stop"))
        outputs = ["--record", "raw", "--save", "out.ome.tif", "--checkpoint", "learned.safetensors"]
        (folder / CLOCK).write_bytes(bytes(8))
        log = os.pipe()
        command = [*DAEMON_WITH_CLOCK, "run", "run.toml", *outputs]
        daemon = subprocess.Popen(command, cwd=folder, stdout=log[1], stderr=log[1])
        os.close(log[1])
        stack.callback(daemon.wait)
        stack.callback(daemon.kill)
        console = Console(log[0])
        standing_still = [sys.executable, "-c", SUBSCRIBER, f"tcp://{HOST}:{ports.results}"]
        subscribers = [subprocess.Popen(standing_still) for _ in range(SUBSCRIBERS)]
        for subscriber in subscribers:
            stack.callback(subscriber.wait)
            stack.callback(subscriber.kill)
        disturbances = Disturbances(daemon, ports, console, folder / CLOCK, seed)
        # Connected once: while files are few no new connection can be accepted.
        control = stack.enter_context(ControlClient(disturbances.control, 20_000))
        status = _run(attack, GoodFrames(attack.frames), disturbances, control, daemon, minutes, faults)
        died = [one.returncode for one in subscribers if one.poll() is not None]
        faults += [f"subscribers that stood still died: {died}"] if died else []
        faults += _check(status, folder, console)
        print(f"disturbances: {dict(disturbances.done)}; messages: {dict(attack.sent)}")
    for fault in faults:
        print(f"FAULT {fault}")
    sys.exit(1 if faults else 0)


def _run(
    attack: Attack,
    movie: GoodFrames,
    disturbances: Disturbances,
    control: ControlClient,
    daemon: subprocess.Popen[bytes],
    minutes: float,
    faults: list[str],
) -> Status | None:
    """Disturb a daemon, then wait for a picture and stop it.

    Args:
        attack: sends the mutated messages.
        movie: sends the good frames.
        disturbances: done one at a time.
        control: stays connected.
        daemon: its process.
        minutes: of disturbance.
        faults: what does not hold is added.

    Returns:
        The last account; None where the daemon ended before.
    """
    if not attack.frames.poll(START_MS):
        faults.append("the daemon did not start")
        return None
    control.ask("status")  # it was connected before the daemon listened: connecting again takes up to seconds
    begun_s, first_mb, rounds = time.monotonic(), 0.0, 0
    slowest = 0.0, 0.0, ""
    row_due_s = begun_s
    while (share := (time.monotonic() - begun_s) / (60 * minutes)) < 1 and daemon.poll() is None:
        if rounds % 10 == 0:
            movie.begin()
            movie.frames(FRAMES_TOGETHER)
        movie.frames(FRAMES_A_ROUND)
        for _ in range(MESSAGES_A_ROUND):
            attack.one()
        if rounds % 5 == 0:
            disturbances.one()
        asked_s = time.monotonic()
        status = None
        with suppress(InputError):
            status = Status.model_validate(control.ask("status"))
        slowest = max(slowest, (time.monotonic() - asked_s, asked_s - begun_s, disturbances.last))
        if status is not None:
            _check_latencies(status, faults)
        if rounds % 20 == 0:
            disturbances.go_on()
            if status is not None and not status.recording:
                disturbances.record_again()
        if time.monotonic() >= row_due_s:
            row_due_s += ROW_S
            print(_row(time.monotonic() - begun_s, memory_mb(daemon.pid), status), flush=True)
        if share > WARM_UP and not first_mb:
            first_mb = memory_mb(daemon.pid)
        rounds += 1
        time.sleep(0.02)
    if daemon.poll() is not None:
        faults.append(f"the daemon ended with {daemon.returncode}")
        return None
    disturbances.end()
    before = Status.model_validate(ask(disturbances.control, "status", 10_000)).windows.published
    deadline_s = time.monotonic() + 60
    status = None
    while time.monotonic() < deadline_s:
        movie.begin()
        for _ in range(10):
            movie.frames(FRAMES_A_ROUND)
            time.sleep(0.1)
        status = Status.model_validate(ask(disturbances.control, "status", 10_000))
        if status.windows.published > before:
            break
    else:
        faults.append("no picture within 60 s after all settings were set back")
    status = _wait_for_accounts(movie, disturbances, faults)
    print(f"{disturbances.recordings} recordings")
    growth_mb = memory_mb(daemon.pid) - first_mb
    print(f"{rounds} rounds, {movie.sent} good frames; memory {growth_mb:+.0f} of {first_mb:.0f} MB; ", end="")
    print(f"slowest answer of control {slowest[0]:.2f} s, at {slowest[1] / 60:.1f} min, after '{slowest[2]}'")
    if slowest[0] > MAX_ANSWER_S:
        faults.append(f"control took {slowest[0]:.2f} s to answer")
    if growth_mb > MAX_GROWTH_MB:
        faults.append(f"memory grew by {growth_mb:.0f} MB")
    ask(disturbances.control, "stop", 10_000)
    try:
        daemon.wait(60)
    except subprocess.TimeoutExpired:
        faults.append("the daemon did not stop within 60 s")
    return status


def _check_latencies(status: Status, faults: list[str]) -> None:
    """Add a fault for the first latency that no window can have."""
    wrong = [one for one in status.latencies if not 0 <= one.p50_ms <= one.p99_ms < MAX_LATENCY_MS]
    if wrong and not any(fault.startswith("latency") for fault in faults):
        faults.append(f"latency {wrong[0]}")


def _row(seconds: float, megabytes: float, status: Status | None) -> str:
    """Return one line of the table of the run."""
    if status is None:
        return f"{seconds / 60:5.1f} min {megabytes:5.0f} MB  no answer"
    recording = f"recorded {status.recorded_frames}, missing {status.recording_missing}"
    return f"{seconds / 60:5.1f} min {megabytes:5.0f} MB  {status.frames}; {status.windows}; {recording}"


def _not_of_recording(movie: GoodFrames, disturbances: Disturbances, faults: list[str]) -> int:
    """Count the frames that came before the recording that runs.

    They are known once no frame is under way. Heartbeats alone do not show that: a recorder that was killed is started
    again within seconds, or within half a minute on a busy machine, so it has to record a frame of now first.
    """
    if disturbances.recordings == 1:
        return 0
    deadline_s = time.monotonic() + RECORDER_S
    status = first = Status.model_validate(ask(disturbances.control, "status", 10_000))
    while status.recording and status.recorded_frames == first.recorded_frames:
        if time.monotonic() > deadline_s:
            faults.append(f"the recorder wrote nothing for {RECORDER_S:.0f} s after all disturbances had ended")
            break
        movie.frames(1)
        time.sleep(0.5)
        status = Status.model_validate(ask(disturbances.control, "status", 10_000))
    deadline_s = time.monotonic() + ACCOUNT_S
    while time.monotonic() < deadline_s:
        movie.frames(0)  # heartbeats: no frame is under way when the account is read
        time.sleep(0.2)
    status = Status.model_validate(ask(disturbances.control, "status", 10_000))
    before = status.frames.sent - status.recorded_frames - status.recording_missing
    movie.frames(50)
    return before


def _wait_for_accounts(movie: GoodFrames, disturbances: Disturbances, faults: list[str]) -> Status:
    """Wait until the accounts contain every good frame.

    Args:
        movie: sends heartbeats meanwhile.
        disturbances: have begun recordings, and know the daemon.
        faults: frames that are missing from an account are added.

    Returns:
        The last account.
    """
    before = _not_of_recording(movie, disturbances, faults)
    deadline_s = time.monotonic() + ACCOUNT_S
    while True:
        status = Status.model_validate(ask(disturbances.control, "status", 10_000))
        recording = status.recorded_frames + status.recording_missing == status.frames.sent - before
        if status.frames.sent >= movie.sent and recording:
            return status
        if time.monotonic() > deadline_s:
            break
        movie.frames(0)  # a heartbeat
        time.sleep(0.2)
    if status.frames.sent < movie.sent:
        faults.append(f"{movie.sent} good frames were sent, and {status.frames.sent} are in the account")
    if not recording:
        account = f"recorded {status.recorded_frames}, missing {status.recording_missing}, before it {before}"
        faults.append(f"the account of the recording does not close: {account}, sent {status.frames.sent}")
    return status


def _check(status: Status | None, folder: Path, console: Console) -> list[str]:
    """Return the faults of the account, the log and the files."""
    faults = []
    if status is not None:
        frames, windows = status.frames, status.windows
        print(f"{frames}\n{windows}\nrecorded {status.recorded_frames}, missing {status.recording_missing}")
        if frames.sent != frames.received + frames.missing:
            faults.append(f"the account of frames does not close: {frames}")
        if windows.complete < windows.published + windows.skipped + windows.failed:
            faults.append(f"the account of windows does not close: {windows}")
    text = console.text.decode(errors="replace")
    if status is None:
        print(text[-LOG_CHARACTERS:])
    if "the worker" in text and "died" in text:
        faults.append("the worker died")
    read: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        try:
            if path.name.endswith((".ome.tif", ".ome.tif.part")):
                read["pictures"] += len(read_pictures(path).pictures)
            elif path.suffix == ".tif":
                if path.with_suffix(".jsonl").stat().st_size:
                    with MovieFile(path) as recording:
                        read["recorded frames"] += recording.length
            elif path.name.endswith(".manifest.ndjson"):
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                read["manifest lines"] += sum(
                    ManifestLine.model_validate_json(line) is not None for line in lines if line.endswith("\n")
                )
            elif path.is_file():
                read["other files"] += 1
        except Exception as error:
            faults.append(f"{path.name} cannot be read: {error}")
    print(f"read: {dict(read)}")
    return faults


if __name__ == "__main__":
    main()
