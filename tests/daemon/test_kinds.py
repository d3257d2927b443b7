"""A kind of source is declared once: all that depends on it asks there, so that another one is a file and a line."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from added_source import KIND, PROGRAM
from daemon_process import Daemon, Results, simulated, wait_until

from daemon.check.software import packages
from daemon.config import Config, load
from daemon.sources.kinds import KINDS, is_stored, loss_of, resolve, usages
from daemon.sources.section import source_of
from selfstorm.errors import InputError


@pytest.fixture
def added(monkeypatch):
    monkeypatch.setitem(KINDS, KIND.scheme, KIND)


def refusal(folder, text):
    (path := folder / "daemon.toml").write_text(text)
    with pytest.raises(InputError) as refused:
        load(path, {})
    return str(refused.value)


def test_an_added_source_runs_through_the_daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    settings = simulated(window=8, stride=8)
    settings["source"] = {"uri": "stripes:24", "rate_hz": 60, "stripes": {"bright": 3000}}
    with Daemon(tmp_path, settings, program=PROGRAM) as daemon, Results(daemon.started().results) as results:
        wait_until(results.has("sr.refined"))
        event = results.event("stripes_torn")
        status = wait_until(lambda: daemon.status() if daemon.status().frames.lost_at_source else None)
    assert event.text.endswith("stripes were torn: handle them with care")
    assert status.source == "stripes:24"


def test_an_added_source_has_its_options_checked(added, tmp_path):
    line = refusal(tmp_path, '[source]\nuri = "stripes:24"\n[source.stripes]\nbrigt = 2')
    assert line.endswith("[source.stripes]: unknown key 'brigt'; did you mean 'bright'?")
    assert "source.stripes.bright: 'much'" in refusal(tmp_path, "[source.stripes]\nbright = 'much'")
    assert "'wide' is no width: write stripes:WIDTH" in refusal(tmp_path, '[source]\nuri = "stripes:wide"')
    assert "did you mean 'stripes'?" in refusal(tmp_path, "[source.stripe]\nbright = 3")


def test_an_added_source_says_what_it_needs_loses_and_is_called(added, monkeypatch):
    monkeypatch.setitem(KINDS, KIND.scheme, replace(KIND, packages=("no-such-package",), install="pip install stripes"))
    missing, _ = packages(Config(source=source_of("stripes:24")))
    assert (missing.value, missing.hint) == ("no-such-package is missing", "pip install stripes")
    assert loss_of("stripes:24").place == "torn"
    assert "stripes:WIDTH" in usages()


def test_a_table_of_options_that_no_kind_has_is_an_unknown_key(tmp_path):
    assert "[source]: unknown key 'stripes'" in refusal(tmp_path, "[source.stripes]\nbright = 3")


def test_the_source_of_a_newer_daemon_is_taken_for_a_camera():
    assert loss_of("stripes:24") == loss_of("micromanager:")
    assert not is_stored("stripes:24")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_whatever_a_kind_names_is_there(kind):
    dotted = [kind.opener, kind.check_uri, kind.precheck, kind.frames_again, *(table.model for table in kind.options)]
    assert all(callable(resolve(name)) for name in dotted if name)


def test_asking_about_sources_loads_none_of_them():
    heavy = "{'numpy', 'zmq', 'pydantic'} & set(sys.modules)"
    code = f"import sys; from daemon.sources import kinds; kinds.loss_of('replay:x'); sys.exit(len({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
