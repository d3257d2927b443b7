"""Daemons on a Ray cluster: two machines (here: nodes on this one), of which one is lost.

Ray comes with the extra `cluster`; a job of the continuous integration runs this file with it.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner
from daemon_process import DAEMON, as_toml, free_ports, simulated, wait_until

from daemon.cli import cli
from daemon.cluster import watched_daemon
from daemon.cluster.config import load_cluster
from daemon.control.client import ask
from daemon.protocol.messages import Status
from selfstorm.errors import InputError

RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
CONFIGS = Path(__file__).parents[2] / "configs"
START_S = 180.0

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason='pip install "selfstorm[cluster]"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "daemon: Field required"),
        ('[[daemon]]\nname = "a b"\nconfig = "a.toml"', "daemon.0.name"),
        ('[[daemon]]\nname = "a"\nconfig = "a.toml"\ngpu = 1', "did you mean 'gpus'"),
        ('[[daemon]]\nname = "a"\nconfig = "a.toml"\n[[daemon]]\nname = "a"\nconfig = "b.toml"', "'a' is given twice"),
        ("daemon = ", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_a_sentence(tmp_path, text, said):
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(InputError) as error:
        load_cluster(tmp_path / "cluster.toml")
    assert said in str(error.value)


def test_configurations_lie_beside_the_cluster_s(tmp_path, monkeypatch):
    (tmp_path / "cluster.toml").write_text('[[daemon]]\nname = "a"\nconfig = "a.toml"')
    monkeypatch.chdir(tmp_path.parent)
    (one,) = load_cluster(tmp_path / "cluster.toml").daemon
    assert one.config == tmp_path / "a.toml"


def test_the_shipped_configuration_loads():
    (one,) = load_cluster(CONFIGS / "cluster.toml").daemon
    assert one.config.is_file()


def test_without_ray_a_cluster_names_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "cluster.toml").write_text('[[daemon]]\nname = "a"\nconfig = "a.toml"')
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = CliRunner().invoke(cli, ["cluster", "status", str(tmp_path / "cluster.toml")])
    assert isinstance(ended.exception, InputError)
    assert "selfstorm[cluster]" in str(ended.exception)


def test_a_daemon_that_cannot_be_started_says_why_and_is_tried_again(monkeypatch):
    tried = []

    def child(*_):
        tried.append(1)
        raise InputError("no process can be started (Cannot allocate memory)")

    monkeypatch.setattr(watched_daemon, "ChildProcess", child)
    monkeypatch.setattr(watched_daemon, "MIN_WAIT_S", 0.01)
    daemon = watched_daemon.WatchedDaemon("a.toml", "here")
    wait_until(lambda: len(tried) > 2)
    assert daemon.report().why == "no process can be started (Cannot allocate memory)"
    daemon.stop()
    assert daemon.report().state == "stopped"


@pytest.fixture
def started():
    """Start processes, each with all that it starts in a session of its own; they are killed at the end."""
    running = []

    def start(*line):
        process = subprocess.Popen(
            [str(part) for part in line],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"},
        )
        running.append(process)
        return process

    yield start
    for process in running:
        lose(process)


def lose(node):
    """Kill all processes of a node, as a machine that loses its power."""
    listed = subprocess.run(["ps", "-eo", "pid,sid"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    for line in listed.splitlines()[1:]:
        pid, session = map(int, line.split())
        if session == node.pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    node.wait()


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@needs_ray
@pytest.mark.skipif(os.name != "posix", reason="finds the processes of a node by ps")
@pytest.mark.timeout(600)
def test_a_daemon_goes_on_elsewhere_when_its_machine_is_lost(started, tmp_path):
    gcs, frames, results, control = free_ports(4)
    here = "--node-ip-address=127.0.0.1"
    folder = tmp_path.parent / "ray"  # sockets lie in it: their paths may have 107 characters
    started(*RAY, "--head", here, f"--port={gcs}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}")
    address = f"127.0.0.1:{gcs}"
    (tmp_path / "publisher.toml").write_text(as_toml({"source": simulated()["source"]}))
    settings = simulated(
        source={"uri": f"zmq:127.0.0.1:{frames}"},
        camera={"pixel_nm": 100.0},
        server={"results": f"tcp://127.0.0.1:{results}", "control": f"tcp://127.0.0.1:{control}"},
    )
    (tmp_path / "scope.toml").write_text(as_toml({"checkpoint": str(tmp_path / "model"), **settings}))
    daemons = {"name": "scope", "config": "scope.toml", "gpus": 0, "cpus": 1}
    text = as_toml({"address": address}) + "\n[[daemon]]\n" + as_toml(daemons)
    (tmp_path / "cluster.toml").write_text(text)
    started(*DAEMON, "publish", tmp_path / "publisher.toml", "--bind", f"tcp://127.0.0.1:{frames}")

    def cluster(command):
        line = [*DAEMON, "cluster", command, str(tmp_path / "cluster.toml")]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    def said():
        return Status.model_validate(ask(f"tcp://127.0.0.1:{control}", "status"))

    def publishes():
        with suppress(InputError):
            return said().windows.published > 0 and said()
        return False

    def joined():
        return started(*RAY, here, f"--address={address}", "--num-cpus=1")

    def placed():
        done = cluster("start")
        return done.returncode == 0

    wait_until(placed, START_S)
    assert "scope: waiting for a machine" in cluster("status").stdout
    first = joined()
    before = wait_until(publishes, START_S)
    status = cluster("status")
    assert (status.returncode, status.stdout.startswith("scope: running on ")) == (0, True), status
    joined()
    lose(first)
    after = wait_until(lambda: (now := publishes()) and now.run != before.run and now, START_S)
    assert after.windows.published
    assert cluster("status").returncode == 0
    assert cluster("stop").returncode == 0
    assert cluster("status").stdout == "scope: not started\n"
