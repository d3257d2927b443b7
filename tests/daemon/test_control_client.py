"""The client of control: a busy daemon that holds the connection is waited for, one that is absent or gone is not."""

import threading
import time

import pytest
import zmq
from daemon_process import free_ports

from client import Daemon as Asked
from daemon.control.client import ControlClient
from daemon.protocol.codec import decode, encode
from daemon.protocol.messages import Reply
from selfstorm.errors import InputError

ABSENT_MS = 100  # until a daemon is taken for absent


@pytest.fixture
def connected():
    """The socket of a daemon, and a client that is connected to it."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as daemon:
        daemon.linger = 0
        port = daemon.bind_to_random_port("tcp://127.0.0.1")
        with ControlClient(f"tcp://127.0.0.1:{port}", ABSENT_MS) as client:
            while not client._connection.connected:
                client._connection.poll(10)
            yield daemon, client


def test_an_answer_that_comes_later_than_one_is_waited_for_is_taken(connected):
    daemon, client = connected

    def answer():
        back, *parts = daemon.recv_multipart()
        daemon.recv_multipart()  # it is sent once more
        threading.Event().wait(3 * ABSENT_MS / 1000)
        reply = Reply(id=decode(parts).message.id, ok=True, result={"number": 3})
        daemon.send_multipart([back, *encode("reply", reply)])

    busy = threading.Thread(target=answer)
    busy.start()
    try:
        assert client.ask("mark") == {"number": 3}
    finally:
        busy.join()


def test_one_that_ends_before_it_answers_is_waited_for_no_longer(connected, monkeypatch):
    daemon, client = connected
    monkeypatch.setattr(client, "_busy_ms", 3_600_000)

    def end():
        for _ in range(2):
            daemon.recv_multipart()
        daemon.close()

    ending = threading.Thread(target=end)
    ending.start()
    try:
        with pytest.raises(InputError, match="no daemon answered"):
            client.ask("mark")
    finally:
        ending.join()


def test_what_nobody_answered_is_not_done_by_a_daemon_that_starts_later():
    [port] = free_ports(1)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as daemon:
        daemon.linger = 0
        with Asked(f"127.0.0.1:1,{port}", timeout_ms=200) as asked:
            with pytest.raises(InputError, match="no daemon answered"):
                asked.reset_model()
            daemon.bind(f"tcp://127.0.0.1:{port}")
            while not daemon.poll(0):  # until it has connected again
                with pytest.raises(InputError, match="no daemon answered"):
                    asked.pause()
            _, *parts = daemon.recv_multipart()
    assert decode(parts).message.verb == "pause"


def test_who_leaves_waits_for_no_answer():
    leaving = threading.Event()
    leaving.set()
    begun_s = time.monotonic()
    with (
        Asked("127.0.0.1:1,1", timeout_ms=60_000, leaving=leaving) as asked,
        pytest.raises(InputError, match="no daemon answered"),
    ):
        asked.status()
    assert time.monotonic() - begun_s < 30
