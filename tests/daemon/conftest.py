"""Daemons that never outlive their test."""

import os
import threading
from contextlib import ExitStack

import pytest
from bridge_emulator import BridgeEmulator
from daemon_process import Daemon
from watched import Watched

from daemon.sources.camera import Resume
from daemon.sources.micromanager import MicroManager
from daemon.sources.section import SourceSection

# The tests of the viewer leave a Qt application behind; pymmcore-plus would take its signals for the core's.
os.environ["PYMM_SIGNALS_BACKEND"] = "psygnal"


FIRST = Resume()


@pytest.fixture
def start(tmp_path):
    """start(settings, *flags): a running daemon, killed at the end whatever happens."""
    with ExitStack() as stack:

        def start_one(settings, *flags, **named):
            return stack.enter_context(Daemon(tmp_path, settings, *flags, **named)).started()

        yield start_one


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def emulator():
    with BridgeEmulator() as running:
        yield running


@pytest.fixture
def watch(stop):
    """watch(port, resume, **section): a watched source attached to that port, closed before the emulator goes."""
    opened = []

    def open_one(port, resume=FIRST, **section):
        source = MicroManager(SourceSection(uri=f"micromanager:127.0.0.1:{port}", **section), stop, resume)
        opened.append(Watched(source))
        return opened[-1]

    yield open_one
    for watched in opened:
        watched.close()
