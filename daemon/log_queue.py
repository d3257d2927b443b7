"""Log through a queue: a blocked console (a click into a Windows console is enough) delays nothing in the daemon."""

from __future__ import annotations

import logging
import queue
import threading
from logging.handlers import QueueHandler, QueueListener

MAX_RECORDS = 2000
FLUSH_S = 1.0


class DroppingQueueHandler(QueueHandler):
    """Puts records into a queue that never blocks: when it is full they are dropped and counted."""

    def __init__(self, records: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(records)
        self._dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        dropped = self._dropped
        try:
            if dropped:
                self.queue.put_nowait(_dropped_record(dropped))
                self._dropped -= dropped
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1


class LogQueue:
    """Writes all records of the program with one handler, in a thread of its own."""

    def __init__(self, handler: logging.Handler, size: int = MAX_RECORDS) -> None:
        records: queue.Queue[logging.LogRecord] = queue.Queue(size)
        self.handler = DroppingQueueHandler(records)
        self._listener = QueueListener(records, handler)
        self._listener.start()

    def close(self) -> None:
        """Write what waits; give up after a second if the console is blocked."""
        closing = threading.Thread(target=self._listener.stop, daemon=True)
        closing.start()
        closing.join(FLUSH_S)


def log_through_queue(level: int) -> LogQueue:
    """Send the program's log to standard error without ever waiting for it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log_queue = LogQueue(handler)
    root = logging.getLogger()
    root.addHandler(log_queue.handler)
    root.setLevel(level)
    return log_queue


def _dropped_record(count: int) -> logging.LogRecord:
    text = "%d lines of the log were dropped: the console did not take them"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)
