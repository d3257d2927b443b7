"""Standard input as a tie to the parent process.

A parent that was killed closes it, on Windows as on Unix: no child needs to outlive its parent.
"""

from __future__ import annotations

import os
import sys
import threading
import time

PEEK_S = 0.1  # between two polls of the standard input on Windows
ORPHANED = 3  # exit code


def wait_for_closed_input() -> None:
    """Return once the parent has closed the standard input of this process.

    On Windows a thread that blocks on the standard input holds a lock of the C runtime, and libraries that are loaded
    meanwhile (OpenBLAS, Java's) wait for it for ever: there the pipe is polled.
    """
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        handle, waiting = msvcrt.get_osfhandle(0), ctypes.c_ulong()
        while ctypes.windll.kernel32.PeekNamedPipe(handle, None, 0, None, ctypes.byref(waiting), None):
            if waiting.value:
                os.read(0, waiting.value)
            time.sleep(PEEK_S)
        return
    while os.read(0, 4096):  # sys.stdin would hold its lock when the interpreter ends
        pass


def end_with_parent() -> None:
    """End this process at once when its parent has ended.

    What it was writing keeps its temporary name.
    """

    def wait() -> None:
        wait_for_closed_input()
        os._exit(ORPHANED)

    threading.Thread(target=wait, name="parent", daemon=True).start()
