"""Check for a screen before Qt starts.

Qt aborts the process without one.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path

from selfstorm.errors import InputError

XCB = "libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0"
PACKAGES = f"{XCB} libxcb-xkb1 libxkbcommon-x11-0"


def require_screen(environment: Mapping[str, str], plugins: Path) -> None:
    """Check that Qt can open a window.

    Args:
        environment: Environment variables.
        plugins: Folder of Qt's plugins.

    Raises:
        InputError: There is no screen, or a library is missing; with the remedy.
    """
    if not sys.platform.startswith("linux") or environment.get("QT_QPA_PLATFORM", "xcb") != "xcb":
        return
    if environment.get("WAYLAND_DISPLAY"):
        return
    if not environment.get("DISPLAY"):
        raise InputError("no screen found", hint="to run without one, set QT_QPA_PLATFORM=offscreen")
    try:
        ctypes.CDLL(str(plugins / "platforms" / "libqxcb.so"))
    except OSError as error:
        hint = f"install the missing libraries; on Debian and Ubuntu: apt install {PACKAGES}"
        raise InputError(f"Qt cannot open a window: {error}", hint=hint) from error
