"""Daemons that never outlive their test."""

import os
from contextlib import ExitStack

import pytest
from daemon_process import Daemon

# The tests of the viewer leave a Qt application behind; pymmcore-plus would take its signals for the core's.
os.environ["PYMM_SIGNALS_BACKEND"] = "psygnal"


@pytest.fixture
def start(tmp_path):
    """start(settings, *flags): a running daemon, killed at the end whatever happens."""
    with ExitStack() as stack:

        def start_one(settings, *flags):
            return stack.enter_context(Daemon(tmp_path, settings, *flags)).started()

        yield start_one
