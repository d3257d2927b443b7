"""Receiving side of a frame stream: one SUB socket.

Receiver, recorder and tools use it; it needs no torch.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from daemon.protocol.codec import MAX_PIXEL_BYTES, Received, decode
from daemon.protocol.key_file import KeyFile
from daemon.transport.client_socket import Connection
from daemon.transport.context import new_context
from selfstorm.errors import InputError

HIGH_WATER = 400
POLL_MS = 100


class FrameSubscriber:
    """SUB socket on a frame stream; made, used and closed by one thread.

    Args:
        endpoint: address of the publisher.
        kind: only messages of this kind; all if empty.
        key: for a publisher beyond loopback.

    Raises:
        InputError: the address or the key cannot be used.
    """

    def __init__(self, endpoint: str, kind: str = "", key: KeyFile | Path | None = None) -> None:
        self._context = new_context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set_hwm(HIGH_WATER)  # works only before connect
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_PIXEL_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(kind.encode())
        try:
            self._connection = Connection(self._socket, endpoint, key, '[source] key = "NAME.key"')
        except InputError:
            self._socket.close()
            self._context.term()
            raise

    @property
    def fault(self) -> str:
        """Reason for which the publisher refuses the connection; else empty."""
        return self._connection.fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._socket.close()
        self._context.term()

    def receive(self, timeout_ms: int = POLL_MS) -> Received | None:
        """Receive the next message; None when none arrives in time.

        Raises:
            MalformedMessageError: the message is not one of this protocol.
        """
        if not self._connection.poll(timeout_ms):
            return None
        return decode([part.buffer for part in self._socket.recv_multipart(copy=False)])
