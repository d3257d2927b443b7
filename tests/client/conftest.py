"""No screen is needed: Qt draws in memory unless the environment asks for something else."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from client_stream import Publisher, free_port


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def publisher(port):
    with Publisher(port, run="first-run") as running:
        yield running
