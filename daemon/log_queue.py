"""Log through a queue, so that a blocked console delays nothing.

A click into a Windows console is enough to block it.
"""

from __future__ import annotations

import logging
import queue
import threading
from logging.handlers import QueueHandler, QueueListener
from typing import Protocol

MAX_RECORDS = 2000
FLUSH_S = 1.0


class SupportsWrite(Protocol):
    """A stream that a log can be written to."""

    def write(self, text: str, /) -> object:
        """Write a text."""


class DroppingQueueHandler(QueueHandler):
    """Puts records into a queue without ever waiting.

    When too many wait, records are dropped and counted.

    Args:
        records: without a bound of its own, so that the mark of the end always has room.
        size: maximum number of waiting records.
    """

    def __init__(self, records: queue.SimpleQueue[logging.LogRecord], size: int) -> None:
        super().__init__(records)
        self._records, self._size, self._dropped = records, size, 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a record into the queue, or count it as dropped."""
        if self._records.qsize() >= self._size:
            self._dropped += 1
            return
        if self._dropped:
            self._records.put(_dropped_record(self._dropped))
            self._dropped = 0
        self._records.put(record)


class LogQueue:
    """Writes all records of the program, in a thread of its own.

    Args:
        handler: writes one record.
        size: maximum number of waiting records.
    """

    def __init__(self, handler: logging.Handler, size: int = MAX_RECORDS) -> None:
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self.handler = DroppingQueueHandler(records, size)
        self._listener = QueueListener(records, handler)
        self._listener.start()

    def close(self) -> None:
        """Write what waits, and log nothing more.

        It gives up after a second if the console is blocked.
        """
        logging.getLogger().removeHandler(self.handler)
        closing = threading.Thread(target=self._listener.stop, daemon=True)
        closing.start()
        closing.join(FLUSH_S)


def log_through_queue(level: int, stream: SupportsWrite | None = None) -> LogQueue:
    """Send the program's log to a stream without ever waiting for it.

    Args:
        level: least serious level that is logged.
        stream: standard error unless given.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log_queue = LogQueue(handler)
    root = logging.getLogger()
    root.addHandler(log_queue.handler)
    root.setLevel(level)
    return log_queue


def _dropped_record(count: int) -> logging.LogRecord:
    text = "%d lines of the log were dropped: the console did not take them"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)
