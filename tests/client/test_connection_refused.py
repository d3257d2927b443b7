"""A daemon that refuses the viewer.

The reason is shown in place of the picture, and goes away as soon as the viewer is accepted.
"""

import threading

import pytest
import zmq
from client_stream import free_port, status

from client.state import ViewerState, reduce_connection_refused
from client.trust.sentences import empty_text
from daemon.health import Health
from daemon.keys.allow_list import AllowList
from daemon.keys.store import Keyring, write
from daemon.protocol.address import DaemonAddress
from daemon.protocol.codec import encode
from daemon.protocol.key_file import KeyFile
from daemon.transport.client_socket import new_pair
from daemon.transport.server_socket import ServerSocket

PERIOD_S = 0.05


@pytest.fixture
def ring(tmp_path):
    one = Keyring(tmp_path / "ring")
    one.make_pair()
    one.allow("another", new_pair()[0], "view")
    return one


@pytest.fixture
def key(ring):
    public, secret = new_pair()
    return KeyFile(name="laptop", public=public, secret=secret, server=ring.pair().public)


@pytest.fixture
def kept(tmp_path):
    """kept(key): the path of its file."""

    def keep(key):
        write(tmp_path / "laptop.key", key)
        return tmp_path / "laptop.key"

    return keep


@pytest.fixture
def address():
    """An address that counts as one beyond loopback."""
    return f"tcp://127.0.0.2:{free_port()}"


@pytest.fixture(autouse=True)
def daemon(ring, address):
    """A daemon's heartbeat there."""

    def publish(socket):
        while not (endpoint.stopping.is_set() or endpoint.restarting):
            socket.send_multipart(encode("status", status()))
            pause.wait(PERIOD_S)

    pause = threading.Event()
    guests = AllowList(ring, address, lambda why: None)
    endpoint = ServerSocket(
        "publisher", Health(run="run"), address, zmq.XPUB, {zmq.LINGER: 0}, publish, guests, sends_out=True
    )
    endpoint.listen()
    yield endpoint
    endpoint.stop()


def refused(viewer, why):
    lamp = viewer.indicator("Daemon")
    return lamp.value == "refused" and why in lamp.why


def test_a_viewer_is_told_that_it_needs_a_key(viewer, address):
    viewer.session.connect(DaemonAddress(address))
    viewer.until(lambda: refused(viewer, "the daemon needs a key: File > Connect, or --key NAME.key"))
    assert viewer.state.run == ""


def test_a_viewer_is_told_of_another_daemons_key(viewer, address, key, kept):
    viewer.session.connect(DaemonAddress(address, key=kept(key.model_copy(update={"server": new_pair()[0]}))))
    viewer.until(lambda: refused(viewer, "not the one that this key was made for"))


def test_a_key_is_admitted_revoked_and_admitted_again_while_the_window_is_open(viewer, address, ring, key, kept):
    viewer.session.connect(DaemonAddress(address, key=kept(key)))
    viewer.until(lambda: refused(viewer, "the daemon refused this key"))
    ring.allow("laptop", key.public, "view")
    viewer.until(viewer.connected)
    ring.revoke("laptop")
    viewer.until(lambda: refused(viewer, "or was revoked"))
    ring.allow("laptop", key.public, "view")
    viewer.until(viewer.connected)
    assert viewer.state.unreadable == 0


@pytest.mark.parametrize("keyed", [True, False])
def test_a_daemon_that_has_ended_refuses_nothing(viewer, address, daemon, key, kept, keyed):
    viewer.session.connect(DaemonAddress(address, key=kept(key) if keyed else None))
    viewer.until(lambda: viewer.indicator("Daemon").value == "refused")
    daemon.stop()
    viewer.until(lambda: viewer.indicator("Daemon").value == "waiting")


def test_where_the_picture_would_be_stands_why_there_is_none():
    state = reduce_connection_refused(ViewerState("tcp://there:5711"), "the daemon needs a key")
    assert empty_text(state, 0.0) == "Connection refused by tcp://there:5711\n\nthe daemon needs a key"


def test_a_key_file_that_is_none_is_one_line(tmp_path, key):
    from test_command import viewer

    write(tmp_path / "a.key", key)
    (tmp_path / "b.key").write_text((tmp_path / "a.key").read_text()[:-20])
    done = viewer("--key", tmp_path / "b.key")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "b.key: is damaged" in done.stderr
    assert key.secret not in done.stderr
