"""Connection to the core of a running Micro-Manager.

It is opened by this side, and closed on both sides.
"""

from __future__ import annotations

import logging
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import zmq

from daemon.transport.context import new_context
from selfstorm.errors import InputError

CONNECT_MS = 5000
RELEASE_S = 1.0
REFUSED_S = 3.0  # Windows tries a closed port again for 2 s

log = logging.getLogger(__name__)


def core_class(uri: str) -> Any:
    """Return pycromanager's Core.

    Args:
        uri: of the source, for error messages.

    Raises:
        InputError: pycromanager is not installed.
    """
    try:
        import pyjavaz.bridge
        from pycromanager import Core
    except ImportError:
        raise InputError("needs pycromanager", where=uri, hint='pip install "selfstorm[micromanager]"') from None
    # Every image registers an exit callback that is never taken back: some hundred bytes a frame, and an exit that
    # waits for ever where Micro-Manager is gone.
    pyjavaz.bridge.atexit = SimpleNamespace(register=lambda callback: None)
    return Core


def studio_class() -> Any:
    """Return pycromanager's Studio, once `core_class` has found pycromanager."""
    from pycromanager import Studio

    return Studio


def attach(core_of: Any, port: int) -> Any:
    """Attach to the core, or the window, of a running Micro-Manager.

    Args:
        core_of: pycromanager's Core or Studio.
        port: of Micro-Manager's server; the object gets a port and thread of its own.
    """
    with warnings.catch_warnings(record=True) as caught:  # of versions that differ, from pycromanager's own thread
        warnings.simplefilter("always")
        try:
            core = core_of(port=port, timeout=CONNECT_MS, new_socket=True)
        finally:
            _close_first_bridge(port)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            log.warning("%s", warning.message)
    return core


def detach(core: Any) -> None:
    """Release the core and its images on Micro-Manager's side.

    Micro-Manager closes the port, thread and descriptors of this connection then.

    It does so when the last object is released. pyjavaz would wait for the answers without end, and in its own
    time: its exceptions keep objects in cycles. So the objects are released here, on a socket that can be given up.
    """
    if core is None or core._closed:
        return
    bridge = core._bridge
    shadows = list(bridge._java_objects)
    for shadow in shadows:
        shadow._closed = True
    bridge._java_objects.clear()
    bridge.close()
    _release(bridge.port, [shadow._hash_code for shadow in shadows if hasattr(shadow, "_hash_code")])


@contextmanager
def hello(port: int) -> Iterator[zmq.Socket[bytes]]:
    """Send Micro-Manager the first request of pycromanager.

    It is sent on a socket that can be given up: pycromanager's own would spin and leak.

    Args:
        port: of Micro-Manager's server.

    Returns:
        The socket, which has the answer as soon as there is one.
    """
    with _request_socket(port) as request:
        request.send_json({"command": "connect", "debug": False})
        yield request


def is_open(port: int) -> bool:
    """Return whether a program listens on this port.

    It need not answer: it may stand still.
    """
    try:
        socket.create_connection(("127.0.0.1", port), REFUSED_S).close()
    except TimeoutError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def _request_socket(port: int) -> Iterator[zmq.Socket[bytes]]:
    with new_context() as context, context.socket(zmq.REQ) as request:
        request.setsockopt(zmq.LINGER, 0)
        request.connect(f"tcp://127.0.0.1:{port}")
        yield request


def _release(port: int, codes: list[str]) -> None:
    deadline = time.monotonic() + RELEASE_S
    try:
        with _request_socket(port) as request:
            for code in codes:
                request.send_json({"command": "destructor", "hash-code": code})
                if not request.poll(max(0, int(1000 * (deadline - time.monotonic())))):
                    log.warning("Micro-Manager did not answer on port %d: it keeps that port open", port)
                    return
                request.recv()
    except OSError as error:  # no file left for a connection
        log.warning("Micro-Manager cannot be asked on port %d (%s): it keeps that port open", port, error.strerror)


def _close_first_bridge(port: int) -> None:
    """Close the connection on which the core was requested.

    pyjavaz would keep it and its thread for ever.
    """
    from pyjavaz.bridge import Bridge

    first = Bridge._cached_bridges_by_port.get(port, lambda: None)()
    if first is not None:
        first.close()
