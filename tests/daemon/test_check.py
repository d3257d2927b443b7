"""`selfstorm-daemon check`: what is wrong is a problem with what to do about it, and never a traceback."""

import queue
import re
import socket
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zmq
from daemon_process import DAEMON, DEADLINE_S, command, free_ports, simulated, write_config

from daemon.check.bridge import bridge
from daemon.check.camera import Seen
from daemon.check.disk import folder
from daemon.check.endpoints import endpoints
from daemon.check.examine import examine
from daemon.check.probes import bounded, line, ok
from daemon.check.software import packages
from daemon.check.speed import judged, speed
from daemon.config import Config, ServerSection
from daemon.sources.camera import CameraFrame
from daemon.sources.kinds import KINDS
from daemon.sources.section import source_of
from daemon.sources.stream_publisher import StreamPublisher
from daemon.transport.child_process import ChildProcess, wait_answer
from selfstorm.errors import InputError
from selfstorm.frames import StreamInfo
from selfstorm.metrics.finding import Finding


@pytest.fixture
def found(tmp_path, monkeypatch):
    """found(settings, ...): the findings for a configuration, without asking torch or timing it: that takes seconds."""
    monkeypatch.setattr("daemon.check.examine.device", lambda config: iter([ok("device", "not asked")]))
    monkeypatch.setattr("daemon.check.examine.speed", lambda config, seen: iter([]))

    def examined(settings, **overrides):
        return list(examine(write_config(tmp_path / "check.toml", settings), overrides))

    return examined


def server(**taken):
    ports = dict(zip(("results", "control"), free_ports(2), strict=True)) | taken
    return {name: f"tcp://127.0.0.1:{port}" for name, port in ports.items()}


def test_the_command_says_a_finding_a_line_and_ends_with_1_where_one_is_a_problem(tmp_path):
    (tmp_path / "raw").write_text("not a folder")
    slow = simulated(rate_hz=2, server=server(), save=str(tmp_path / "sr.ome.tif"))  # a busy machine can follow it
    config = write_config(tmp_path / "check.toml", slow)
    done = command([*DAEMON, "check", config, "--record", tmp_path / "raw"])
    assert (done.returncode, done.stderr) == (1, "")
    *lines, last = done.stdout.splitlines()
    assert last == "1 problem"
    assert all(re.match(r"(   ok     | ! warning|XX problem)  \S", line) for line in lines), done.stdout
    for said in (
        "   ok       device         cpu ",
        "   ok       camera         simulated: 32 x 32 px, uint16, ",
        "   ok       pixel size     100 nm, from the source",
        f"XX problem  record         {tmp_path / 'raw'} is a file, not a folder -> choose another folder for 'record'",
        f"   ok       save           {tmp_path}: ",
    ):
        assert any(line.startswith(said) for line in lines), done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["check.toml", "raw"]


@pytest.mark.parametrize(("target", "source"), [("micromanager", "micromanager:"), (None, "mmcore:")])
def test_it_takes_what_run_takes(target, source):
    _, configuration = islice(examine(target, {"source.uri": None if target else source}), 2)
    assert configuration.level == "good", line(configuration)
    assert source in line(configuration)


def test_micromanager_that_is_not_there_is_asked_for_once(found):
    findings = found({"source": {"uri": f"micromanager:127.0.0.1:{free_ports(1)[0]}"}, "server": server()})
    (problem,) = (one for one in findings if one.level == "bad")
    assert re.search(r"nothing answers on port \d+ -> start Micro-Manager, tick Tools > Options", line(problem))
    assert findings[-1] is problem


def test_micromanager_on_another_machine_is_not_asked_for_on_this_one(found):
    *_, problem = found({"source": {"uri": "micromanager:scope-pc:4827"}, "server": server()})
    assert (problem.name, problem.level) == ("Micro-Manager", "bad")
    assert "on its own machine only, not to us on scope-pc -> run the daemon" in line(problem)


def test_a_publisher_elsewhere_is_listened_to_and_missed_by_its_address(found, monkeypatch):
    monkeypatch.setattr("daemon.check.camera.SAMPLE_S", 0.2)

    def send():
        publisher.wait_for_subscribers(1)
        stream = StreamInfo(stream="stream-1", source="here", height=2, width=3, dtype="uint8", pixel_nm=90.0)
        publisher.begin(stream)
        while not halt.wait(0.01):
            publisher.send(CameraFrame(np.zeros((2, 3), np.uint8), 0))
            publisher.beat()

    with StreamPublisher("tcp://127.0.0.1:*", halt := threading.Event(), lossless=False) as publisher:
        uri = f"zmq:{publisher.endpoint.removeprefix('tcp://')}"
        thread = threading.Thread(target=send)
        thread.start()
        *_, camera, pixel_size = found({"source": {"uri": uri}, "server": server()})
        halt.set()
        thread.join()
    assert (camera.level, "here: 3 x 2 px, uint8" in camera.value, pixel_size.level) == ("good", True, "good")
    monkeypatch.setattr("daemon.check.camera.FIRST_FRAME_S", 0.2)
    *_, silent = found({"source": {"uri": uri}, "server": server()})
    assert (silent.name, silent.level) == ("camera", "warning")
    assert f"waits for a publisher on tcp://{uri.removeprefix('zmq:')}: start one there" in silent.value


def test_a_mistake_in_the_configuration_is_said_as_run_says_it(found):
    findings = found(simulated(server=server(), losless=True))
    (problem,) = (one for one in findings if one.level == "bad")
    assert line(problem).endswith("unknown key 'losless' -> did you mean 'lossless'?")
    assert "ports" in {one.name for one in findings}


def test_a_movie_that_cannot_be_read_and_a_pixel_size_that_nobody_knows(found, tmp_path):
    settings = {"source": {"uri": "replay:movie.tif", "loop": True, "rate_hz": 50}, "server": server()}
    assert "movie.tif: no such file; check the path" in line(found(settings)[-1])
    frames = np.random.default_rng(0).integers(0, 99, (20, 8, 8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack")
    *_, camera, pixel_size = found(settings)
    assert (camera.level, pixel_size.level) == ("good", "bad")
    assert "pixel_nm under [camera]" in pixel_size.hint


def test_a_daemon_that_runs_is_left_alone(start, found):
    daemon = start(simulated())
    findings = {one.name: line(one) for one in found(simulated(server={"control": daemon.control}))}
    assert findings["ports"].startswith(f" ! warning  ports          a daemon is running on {daemon.control} (")
    assert "not opened: the running daemon receives" in findings["camera"]
    assert daemon.status().source_restarts == 0


def test_a_port_that_somebody_else_has_taken(tmp_path):
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        settings = ServerSection(**server(results=holder.getsockname()[1]))
        results, control = endpoints(settings, None)
    assert (results.level, control.level) == ("bad", "good")
    assert "set another results under [server]" in results.hint


@contextmanager
def answering(answer):
    """The port of a server that answers so to the first one who asks."""
    with zmq.Context() as context, context.socket(zmq.REP) as socket_:
        socket_.linger = 0
        port = socket_.bind_to_random_port("tcp://127.0.0.1")
        asked = []

        def serve():
            if socket_.poll(10_000):
                asked.append(socket_.recv_json())
                socket_.send(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield port, asked
        thread.join()


@pytest.mark.parametrize(
    ("answer", "level", "says"),
    [
        (b'{"type": "none", "version": "5.1.0"}', "good", "server 5.1.0"),
        (b'{"type": "none", "version": "4.2.0"}', "warning", "update Micro-Manager"),
        (b'{"type": "none", "version": "9.0.0"}', "warning", "pip install --upgrade"),
        (b'{"type": "none"}', "warning", "server 2.0.0"),
        (b"[1]", "bad", "is not Micro-Manager"),
        (b"\xff", "bad", "is not Micro-Manager"),
    ],
    ids=["same", "older", "newer", "none", "list", "bytes"],
)
def test_the_bridge_is_asked_for_its_version_and_nothing_else(answer, level, says):
    pytest.importorskip("pyjavaz")
    with answering(answer) as (port, asked):
        (finding,) = bridge(source_of(f"micromanager:127.0.0.1:{port}"))
    assert (finding.level, asked) == (level, [{"command": "connect", "debug": False}])
    assert says in line(finding)


def test_what_a_source_needs_is_named_where_it_is_missing(monkeypatch):
    needy = replace(KINDS["simulate"], packages=("no-such-package",), install='pip install "selfstorm[needy]"')
    monkeypatch.setitem(KINDS, "simulate", needy)
    missing, there = packages(Config())
    assert line(missing).endswith('no-such-package is missing -> pip install "selfstorm[needy]"')
    assert there.value.startswith("selfstorm ")


def test_a_disk_that_cannot_follow(tmp_path):
    (slow,) = folder("record", tmp_path, 1e15)
    assert (slow.level, "too slow" in slow.hint) == ("bad", True)
    (fast,) = folder("record", tmp_path / "not" / "yet", 1.0)
    assert fast.level == "good"
    assert list(tmp_path.iterdir()) == []


class BegunInTime(queue.Queue):
    """Findings of a probe, which has any time for its first."""

    begun = False

    def get(self, block=True, timeout=None):
        given, self.begun = timeout if self.begun else DEADLINE_S, True
        return super().get(block, given)


def test_a_probe_can_neither_hang_nor_break_the_check(monkeypatch):
    halt = threading.Event()

    def hangs():
        yield ok("it", "begins")
        halt.wait()

    def breaks():
        yield ok("it", "begins")
        raise RuntimeError("out of order\nindeed")

    def refuses():
        raise InputError("no such thing", where="here", hint="look there")
        yield

    monkeypatch.setattr("daemon.check.probes.queue.Queue", BegunInTime)
    first, hung = bounded("it", hangs, 0.2)
    halt.set()
    assert (first.level, hung.level, "no answer within 0.2 s" in hung.value) == ("good", "bad", True)
    _, broken = bounded("it", breaks, 5.0)
    assert "RuntimeError: out of order indeed" in line(broken)
    assert list(bounded("it", refuses, 5.0)) == [Finding("it", "here: no such thing", "bad", hint="look there")]


@pytest.mark.parametrize(
    ("pixel_nm", "level"), [(1000.0, "warning"), (500.0, "good"), (20.0, "good"), (6.5, "warning")]
)
def test_a_pixel_size_that_no_objective_gives(pixel_nm, level, found):
    settings = simulated(server=server()) | {"camera": {"pixel_nm": pixel_nm}}
    [pixel_size] = [one for one in found(settings) if one.name == "pixel size"]
    assert (pixel_size.level, pixel_size.value.startswith(f"{pixel_nm:g} nm")) == (level, True)


@pytest.mark.parametrize(
    ("every_s", "level", "said"),
    [(2.0, "good", "one comes every 2 s"), (0.5, "warning", "quality will be reduced"), (0.05, "bad", "skipped")],
)
def test_times_of_a_window_are_judged_by_the_time_between_two(every_s, level, said):
    finding = judged(1.0, 0.1, every_s, estimated=False)
    assert finding.level == level
    assert said in finding.value


def test_a_window_of_the_camera_is_timed_on_this_machine(monkeypatch):
    config = Config.model_validate(simulated(window=20, stride=10))
    info = StreamInfo(stream="stream-1", source="here", height=16, width=16, dtype="uint16", pixel_nm=100)
    measured = []

    def keep(*arguments):
        measured.append(wait_answer(*arguments))
        return measured[-1]

    monkeypatch.setattr("daemon.check.speed.wait_answer", keep)
    (slow,) = speed(config, Seen(info, rate_hz=1e-3))
    assert (slow.name, slow.level) == ("speed", "good")
    # Once is enough: it takes a process that loads torch.
    monkeypatch.setattr("daemon.check.speed.ChildProcess", lambda *_: SimpleNamespace(stop=lambda _: None))
    monkeypatch.setattr("daemon.check.speed.wait_answer", lambda *_: measured[0])
    (fast,) = speed(config, Seen(info, rate_hz=1e6))
    assert fast.level == "bad"
    (waits,) = speed(config, Seen(info, rate_hz=1e6, paced=False))
    assert waits.level == "good"


def test_a_crash_is_named_at_once_and_a_slow_machine_is_not_called_one():
    crashed = ChildProcess("this", [])  # it prints, ends, and answers nothing
    try:
        assert wait_answer(crashed, 60.0) == {"error": "the process that tried it ended with exit code 0"}
    finally:
        crashed.stop()
    slow = SimpleNamespace(ending="", said=lambda _timeout_s: None)
    assert wait_answer(slow, 0.01)["error"].endswith("a driver that hangs, or a computer that is very busy")
    answers = iter([{"device": "cpu"}])
    assert wait_answer(SimpleNamespace(ending="", said=lambda _timeout_s: next(answers)), 1.0) == {"device": "cpu"}
