"""A port that was chosen for a test's server is given to nobody else before it listens."""

import errno
import socket
import sys

import pytest
import zmq
from ports import free_ports


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a socket keeps the server away, too")
def test_a_chosen_port_is_kept_for_its_server():
    [port] = free_ports(1)
    with socket.socket() as other, pytest.raises(OSError, match="in use") as refused:
        other.bind(("127.0.0.1", port))
    assert refused.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        server.linger = 0
        server.bind(f"tcp://127.0.0.1:{port}")
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
