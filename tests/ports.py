"""Free ports that stay free until a test's own server listens there."""

import socket
import sys
from collections import deque

MAX_RESERVED = 64  # long after a server has bound its own

_reserved: deque[socket.socket] = deque()


def free_ports(count):
    """Return so many ports of this machine that nothing else is given meanwhile.

    A daemon binds its ports seconds after they were chosen, and every test that asks the system for any free port could
    be given one of them. On Linux a socket that is bound and does not listen keeps a port, and lets a server with
    SO_REUSEADDR, as ZeroMQ's, listen there all the same. Elsewhere the ports are only free now.
    """
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        if sys.platform == "linux":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    _reserved.extend(probes)
    while len(_reserved) > (MAX_RESERVED if sys.platform == "linux" else 0):
        _reserved.popleft().close()
    return ports
