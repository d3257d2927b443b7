"""The viewer and a real daemon process.

Connect, follow, go back, measure; the daemon is killed and started again.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import Daemon, simulated

from daemon.protocol.address import DaemonAddress


def test_a_daemon_is_followed_looked_back_on_measured_killed_and_its_successor_found(open_window, tmp_path):
    seen, daemon = open_window(), Daemon(tmp_path, simulated(window=20, stride=20))
    seen.window.welcome.button.click()
    with daemon:
        seen.session.connect(DaemonAddress(daemon.started().results, daemon.control))
        follow_and_look_back(seen, daemon)
        killed = seen.state.run
        ask_one_that_does_not_answer(seen, daemon)
    seen.until(lambda: seen.indicator("Daemon").value == "disconnected")
    assert "STALE" in seen.window.sr.banner.text()
    with daemon:
        daemon.started()
        seen.until(lambda: seen.state.newest.window[0] != killed)
        seen.until(lambda: seen.indicator("Daemon").value == "running")
        seen.until(lambda: not seen.window.sr.banner.isVisible())
        seen.until(seen.window.menu_actions["pause"].isEnabled)
        assert not daemon.status().paused, "what was asked of the one that was killed is not done by its successor"
    listed = seen.window.events.list
    lines = [listed.item(n).text() for n in range(listed.count())]
    assert any("Pause: " in line and "[not_done]" in line for line in lines)


def ask_one_that_does_not_answer(seen, daemon):
    """The daemon is killed while it owes an answer."""
    seen.until(seen.window.menu_actions["pause"].isEnabled)
    if os.name == "posix":
        daemon.send(signal.SIGSTOP)
    seen.do("pause")
    assert seen.window.message.full_text == "Pause: waiting for the daemon …"


def follow_and_look_back(seen, daemon):
    seen.until(lambda: seen.state.windows >= 3)
    seen.until(lambda: seen.indicator("Daemon").value == "running")  # pictures may be here before the first status
    assert seen.indicator("Missing").level == "good"
    assert seen.window.sr.picture.header.run == daemon.status().run
    listed = seen.window.events.list
    assert any("simulated" in listed.item(n).text() for n in range(listed.count()))
    seen.do("oldest")
    held, before = seen.window.sr.picture, seen.state.windows
    seen.until(lambda: seen.state.windows > before)
    assert seen.window.sr.picture is held
    seen.do("profile")
    seen.drag((0.3, 1.6), (2.9, 1.6))
    assert seen.window.profile.sr.getData()[0][-1] == pytest.approx(2.6, abs=0.05)
    seen.do("lock")
    levels = seen.window.sr.image.levels
    seen.do("live")
    assert seen.window.sr.picture is not held
    assert seen.window.sr.image.levels == levels
