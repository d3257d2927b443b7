"""A new metric reaches everything that shows metrics.

It is one function and one entry, known to the daemon alone.
"""

import sys
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import DAEMON, as_toml, command, free_ports, simulated

from client.window.demo import Demo
from daemon.protocol.address import DaemonAddress
from selfstorm.io.ome_tiff import read_pictures

METRIC = """
from selfstorm.metrics.metric import Metric
from selfstorm.metrics.registry import METRICS


def brightest(evidence):
    return float(evidence.picture.max())


METRICS.add(Metric(key="brightest", label="Brightest", unit="photons", better="lower", warn=-2.0, bad=-1.0,
                   warning="A cell has {value}.", hint="Dim it.", measure=brightest))

from daemon.cli import main

main()
"""


START_MS = 90_000  # of another process


@pytest.fixture
def demo(tmp_path):
    """Make a demo whose daemon has one metric more than this process.

    Returns it with its addresses, its port for Prometheus, and its saved file.
    """
    *ports, prometheus = free_ports(3)
    addresses = DaemonAddress(*(f"tcp://127.0.0.1:{port}" for port in ports))
    server = {"results": addresses.results, "control": addresses.control, "metrics_port": prometheus}
    saved, config = tmp_path / "saved.ome.tif", tmp_path / "demo.toml"
    config.write_text(as_toml(simulated(rate_hz=20, save=str(saved), lossless=True) | {"server": server}))
    return Demo((sys.executable, "-c", METRIC, "run", str(config))), addresses, prometheus, saved


def test_a_new_metric_of_the_demo_appears_everywhere_and_the_demo_ends_with_the_window(demo, open_window):
    demo, addresses, prometheus, saved = demo
    seen = open_window(demo=demo, demo_results=addresses.results)
    seen.window.welcome.demo.click()
    assert not seen.window.welcome.isVisible()
    seen.window.tabs.setCurrentWidget(seen.window.trends)

    seen.until(lambda: "brightest" in seen.state.trend.keys, START_MS)  # on the wire
    assert seen.state.status.source == "simulate:"
    seen.until(lambda: "Brightest" in seen.window.strip.cells)

    def refined():  # a preview shows the refined picture's before it, in brackets
        return "(" not in seen.indicator("Brightest").value

    seen.until(refined)
    finding = seen.indicator("Brightest")
    assert (finding.level, finding.explanation) == ("bad", f"A cell has {finding.value}. Dim it.")
    assert finding.value.endswith(" photons")
    assert "Brightest: A cell has" in seen.window.strip.line.text()
    seen.until(lambda: "brightest" in seen.window.trends.plots)

    watched = command([*DAEMON, "watch", "--once", "--daemon", str(addresses)])
    assert "brightest" in watched.stdout
    assert "Dim it." in watched.stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{prometheus}/metrics", timeout=30) as answer:
        assert "selfstorm_picture_brightest " in answer.read().decode()
    assert "Dim it." in command([*DAEMON, "status", "--daemon", str(addresses)]).stdout

    seen.session.stop()
    assert not demo.running
    record = read_pictures(saved).records[-1]
    assert record["metrics"]["brightest"] > 0
    assert any(note.endswith("Dim it.") for note in record["notes"])
