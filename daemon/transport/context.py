"""ZeroMQ contexts, made only where their files can be opened."""

from __future__ import annotations

import os
from contextlib import ExitStack

import zmq

FILES = 16  # a context's threads, its first sockets and their connections


def new_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Make a context.

    libzmq aborts the whole process where its threads find no file left ("Too many open files (src/epoll.cpp)"), so as
    many are opened and closed before.

    Raises:
        OSError: the process may open too few more files.
    """
    with ExitStack() as stack:
        for _ in range(FILES):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.socket(zmq.PAIR).close(0)  # the threads start with the first socket: before others take the files
    return context
