"""A new metric reaches everything that shows metrics.

It is one function and one entry, known to the daemon alone.
"""

import sys
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import DAEMON, Daemon, command, free_ports, simulated

from daemon.protocol.address import DaemonAddress
from selfstorm.io.ome_tiff import read_pictures

METRIC = """
from selfstorm.metrics.registry import METRICS, Metric


def brightest(evidence):
    return float(evidence.picture.max())


METRICS.add(Metric(key="brightest", label="Brightest", unit="photons", better="lower", warn=-2.0, bad=-1.0,
                   warning="A cell has {value}.", hint="Dim it.", measure=brightest))

from daemon.cli import main

main()
"""


@pytest.fixture
def running(tmp_path):
    """Start a daemon with one metric more than this process has.

    Yields the daemon, its port for Prometheus, and its saved file.
    """
    (port,) = free_ports(1)
    saved = tmp_path / "saved.ome.tif"
    settings = simulated(rate_hz=20, save=str(saved), lossless=True)
    settings["server"] = {"metrics_port": port}
    with Daemon(tmp_path, settings, program=(sys.executable, "-c", METRIC)) as daemon:
        yield daemon.started(), port, saved


def test_a_new_metric_appears_everywhere_with_its_sentence(running, open_window):
    daemon, port, saved = running
    seen = open_window()
    seen.window.tabs.setCurrentWidget(seen.window.trends)
    seen.session.connect(DaemonAddress(daemon.results, daemon.control))

    seen.until(lambda: "brightest" in seen.state.trend.keys)  # on the wire
    seen.until(lambda: "Brightest" in seen.window.strip.cells)
    finding = seen.indicator("Brightest")
    assert (finding.level, finding.explanation) == ("bad", f"A cell has {finding.value}. Dim it.")
    assert finding.value.endswith(" photons")
    assert "Brightest: A cell has" in seen.window.strip.line.text()
    seen.until(lambda: "brightest" in seen.window.trends.plots)

    watched = command([*DAEMON, "watch", "--once", "--daemon", daemon.address])
    assert "brightest" in watched.stdout
    assert "Dim it." in watched.stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        assert "selfstorm_picture_brightest " in answer.read().decode()
    assert "Dim it." in command([*DAEMON, "status", "--daemon", daemon.address]).stdout

    command([*DAEMON, "stop", "--daemon", daemon.address])
    assert daemon.exit_code() == 0
    record = read_pictures(saved).records[-1]
    assert record["metrics"]["brightest"] > 0
    assert any(note.endswith("Dim it.") for note in record["notes"])
