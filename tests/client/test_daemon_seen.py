"""The viewer and a real daemon process: connect, follow, go back, measure; the daemon killed and started again."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import Daemon, simulated


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, simulated(rate_hz=200, window=20, stride=20)) as running:
        yield running.started()


def test_a_daemon_is_followed_looked_back_on_and_measured(open_window, daemon):
    seen = open_window()
    seen.window.welcome.button.click()
    seen.sitting.connect(daemon.results)
    seen.until(lambda: seen.state.windows >= 4)
    assert seen.lamp("Daemon").value == "running"
    assert seen.lamp("Missing").level == "good"
    assert seen.window.sr.picture.header.run == daemon.status().run
    assert "simulated" in seen.window.events.list.item(seen.window.events.list.count() - 1).text()
    seen.do("oldest")
    held = seen.window.sr.picture
    before = seen.state.windows
    seen.until(lambda: seen.state.windows > before)
    assert seen.window.sr.picture is held
    seen.do("profile")
    assert "FWHM" in seen.window.profile.sr_width.text() or "no whole peak" in seen.window.profile.sr_width.text()
    seen.do("lock")
    levels = seen.window.sr.image.levels
    seen.do("live")
    assert seen.window.sr.picture is not held
    assert seen.window.sr.image.levels == levels


def test_a_killed_daemon_is_said_and_its_successor_followed(open_window, tmp_path):
    seen = open_window()
    daemon = Daemon(tmp_path, simulated(rate_hz=200, window=20, stride=20))
    with daemon:
        seen.sitting.connect(daemon.started().results)
        seen.until(lambda: seen.state.windows >= 1)
        killed = seen.state.run
    seen.until(lambda: seen.lamp("Daemon").value == "disconnected")
    assert "STALE" in seen.window.sr.banner.text()
    with daemon:
        daemon.started()
        seen.until(lambda: seen.state.newest.window[0] != killed)
        seen.until(lambda: seen.lamp("Daemon").value == "running")
        assert not seen.window.sr.banner.isVisible()
