"""`selfstorm batch --on`: clusters of two workers give this machine's pictures; a worker that is killed loses nothing.

They come with the extras `cluster` and `dask`; a job of the continuous integration runs this file with both.
"""

import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile

from selfstorm.commands.executors import run_tasks
from selfstorm.errors import InputError
from selfstorm.io.ome_tiff import read_pictures
from selfstorm.simulation.movie import simulate
from selfstorm.simulation.scene import Scene

BATCH = (sys.executable, "-c", "from selfstorm.cli import main; main()", "batch")
FAST = (
    "--pixel-nm",
    "100",
    "--device",
    "cpu",
    "--quality",
    "fast",
    "--scale",
    "2",
    "--estimate",
    "density",
    "--tuning-steps",
    "0",
)
COUNT = 3
START_S = 300.0

pytestmark = pytest.mark.timeout(900)


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition, what):
    deadline = time.monotonic() + START_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {START_S:g} s: {what}"
        time.sleep(0.1)
    return value


@pytest.fixture
def started():
    """Start processes, each with its children in a session of its own; they are killed at the end."""
    running = []

    def start(*line):
        process = subprocess.Popen([str(part) for part in line], start_new_session=True)
        running.append(process)
        return process

    yield start
    for process in reversed(running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


DASK = (sys.executable, "-m", "dask")
RAY = (sys.executable, "-m", "ray.scripts.scripts")


def dask_cluster(start, folder):
    if find_spec("distributed") is None:
        pytest.skip('pip install "selfstorm[dask]"')
    port = free_port()
    start(*DASK, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    for _ in range(2):
        start(*DASK, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", 1, "--no-dashboard")
    return f"dask://127.0.0.1:{port}"


def ray_cluster(start, folder):
    if find_spec("ray") is None or find_spec("grpc") is None:
        pytest.skip('pip install "selfstorm[cluster]"')
    port = free_port()
    client = ("--ray-client-server-port", port, "--port", free_port())
    quiet = ("--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder / 'ray'}")
    start(*RAY, "start", "--head", "--block", "--num-cpus", 2, "--node-ip-address", "127.0.0.1", *client, *quiet)
    return f"ray://127.0.0.1:{port}"


CLUSTERS = {"dask": dask_cluster, "ray": ray_cluster}


@pytest.fixture(params=sorted(CLUSTERS))
def cluster(request, started, tmp_path_factory):
    url = CLUSTERS[request.param](started, tmp_path_factory.mktemp("c"))
    until(lambda: listens(int(url.rpartition(":")[2])), "the cluster is up")
    return url


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Recordings, and the pictures that this machine makes of them."""
    folder = tmp_path_factory.mktemp("archive") / "night"
    folder.mkdir()
    for seed in range(COUNT):
        frames = [pixels for pixels, _ in simulate(Scene(height=16, width=16, seed=seed), frames=24)]
        tifffile.imwrite(folder / f"cell_{seed}.tif", np.stack(frames), photometric="minisblack")
    subprocess.run([*BATCH, folder, *FAST], check=True, stdout=subprocess.DEVNULL)
    return folder


def pictures(folder):
    return {path.name: read_pictures(path).pictures for path in folder.glob("*.ome.tif")}


def assert_done(archive, output, said):
    assert f"{COUNT} of {COUNT} recordings done" in said, said
    ours, theirs = pictures(archive.with_name("night_sr")), pictures(output)
    assert set(ours) == set(theirs)
    for name, expected in ours.items():
        np.testing.assert_array_equal(theirs[name], expected, strict=True)
    with (output / "selfstorm_batch.csv").open() as file:
        states = [row["state"] for row in csv.DictReader(file)]
    assert len(states) == COUNT
    assert set(states) <= {"done", "done before"}  # before: its worker was killed when the pictures were there
    assert (output / "selfstorm_batch.html").read_text().count("<tr>") == COUNT + 1


def test_a_cluster_gives_the_same_pictures_bit_for_bit(archive, cluster, tmp_path):
    line = [*BATCH, archive, "-o", tmp_path / "out", "--on", cluster, *FAST]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_done(archive, tmp_path / "out", done.stdout)


def workers_of(movie):
    """The processes that started the reconstruction of a movie: workers of a cluster."""
    line = [shutil.which("ps"), "-ww", "-eo", "pid,ppid,args"]
    listed = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    return [int(line.split()[1]) for line in listed.splitlines() if "reconstruct" in line and str(movie) in line]


@pytest.mark.skipif(os.name != "posix", reason="finds the worker by ps")
def test_a_worker_that_is_killed_loses_nothing(archive, cluster, tmp_path):
    line = [*BATCH, archive, "-o", tmp_path / "out", "--on", cluster, *FAST]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as batch:
        os.kill(until(lambda: workers_of(tmp_path / "out"), "a recording is under way")[0], signal.SIGKILL)
        said, errors = batch.communicate()
    assert batch.returncode == 0, said + errors
    assert_done(archive, tmp_path / "out", said)
    assert not workers_of(tmp_path / "out")


@pytest.mark.parametrize("on", ["dask://", "slurm://here:1", "here"])
def test_what_is_no_cluster_is_a_sentence(on):
    with pytest.raises(InputError, match=r"is no cluster; .*ray://HOST:PORT"):
        run_tasks(str, ["a"], 1, on)


@pytest.mark.parametrize(("scheme", "module", "extra"), [("ray", "ray", "cluster"), ("dask", "distributed", "dask")])
def test_without_its_library_a_cluster_names_what_to_install(monkeypatch, scheme, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"selfstorm\[{extra}\]"):
        list(run_tasks(str, ["a"], 1, f"{scheme}://127.0.0.1:1"))


def test_every_task_has_its_result_or_its_error():
    outcomes = dict(run_tasks(int, ["1", "x", "3"], 2))
    assert (outcomes["1"], outcomes["3"]) == (1, 3)
    assert isinstance(outcomes["x"], ValueError)
