"""Daemon of a cluster: runs until its standard input closes.

    python -m daemon.cluster CONFIG

It prints {"results": ..., "control": ...}, its addresses, once viewers can connect, or {"failed": ...}.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.config import load
from daemon.file_limit import raise_file_limit
from daemon.log_queue import log_through_queue
from daemon.preflight import check_can_run
from daemon.transport.child_process import leave_signals_to_parent, send_line
from selfstorm.errors import InputError
from selfstorm.parent_process import wait_for_closed_input

if TYPE_CHECKING:
    from daemon.service import Service


def main() -> None:
    """Run a daemon."""
    leave_signals_to_parent()
    log_queue = log_through_queue(logging.WARNING)
    logging.getLogger("daemon.health").setLevel(logging.INFO)
    raise_file_limit()
    try:
        config = load(Path(sys.argv[1]), {})
        check_can_run(config)
        from daemon.service import Service

        service = Service(config)
        threading.Thread(target=_stop_with_input, args=(service,), name="parent", daemon=True).start()
        service.run(lambda: send_line(results=config.server.results, control=config.server.control))
    except InputError as error:
        send_line(failed=str(error))
        sys.exit(1)
    finally:
        log_queue.close()
    os._exit(0)  # the interpreter would wait for a window that was given up


def _stop_with_input(service: Service) -> None:
    wait_for_closed_input()
    service.stop()


if __name__ == "__main__":
    main()
