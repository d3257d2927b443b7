"""Check that Micro-Manager's server answers, and its version."""

from __future__ import annotations

from collections.abc import Iterator

import zmq

from daemon.check.probes import ok, problem, warning
from daemon.sources.micromanager import port_of
from daemon.sources.section import SourceSection
from daemon.transport.context import new_context
from selfstorm.metrics.finding import Finding

ANSWER_MS = 2000
OLDEST = "2.0.0"  # of servers that do not name theirs


def bridge(source: SourceSection) -> Iterator[Finding]:
    """Greet the server on the port that the source names."""
    port = port_of(source)
    tick = f"start Micro-Manager, tick Tools > Options > 'Run server on port {port}', and restart it"
    with new_context() as context, context.socket(zmq.REQ) as hello:
        hello.setsockopt(zmq.LINGER, 0)
        hello.connect(f"tcp://127.0.0.1:{port}")
        hello.send_json({"command": "connect", "debug": False})
        if not hello.poll(ANSWER_MS):
            yield problem("Micro-Manager", f"nothing answers on port {port}", tick)
            return
        try:
            answer = hello.recv_json()
        except ValueError:
            answer = None
    if not isinstance(answer, dict):
        yield problem("Micro-Manager", f"the program on port {port} is not Micro-Manager", tick)
        return
    server, library = str(answer.get("version", OLDEST))[:40], _library_version()
    if library is None:
        yield problem(
            "Micro-Manager", f"server {server}, but no library to talk to it", 'pip install "selfstorm[micromanager]"'
        )
    elif server.split(".")[:2] != library.split(".")[:2]:
        older = "update Micro-Manager" if server < library else 'pip install --upgrade "pycromanager"'
        yield warning(
            "Micro-Manager", f"server {server}, library {library}: these versions may not work together", older
        )
    else:
        yield ok("Micro-Manager", f"answers on port {port}: server {server}, library {library}")


def _library_version() -> str | None:
    try:
        from pyjavaz.bridge import Bridge
    except ImportError:
        return None
    return str(Bridge._EXPECTED_ZMQ_SERVER_VERSION)
