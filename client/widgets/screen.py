"""Can a window be opened here? Qt aborts the whole process where it cannot, so it is asked before."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path

from selfstorm.errors import InputError

XCB = "libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0"
PACKAGES = f"{XCB} libxcb-xkb1 libxkbcommon-x11-0"


def require_screen(environment: Mapping[str, str], plugins: Path) -> None:
    """Raise InputError, saying what to do, where Qt would abort. plugins: the folder of Qt's plugins."""
    if not sys.platform.startswith("linux") or environment.get("QT_QPA_PLATFORM", "xcb") != "xcb":
        return
    if environment.get("WAYLAND_DISPLAY"):
        return
    if not environment.get("DISPLAY"):
        raise InputError("there is no screen here", hint="set QT_QPA_PLATFORM=offscreen to run without one")
    try:
        ctypes.CDLL(str(plugins / "platforms" / "libqxcb.so"))
    except OSError as error:
        hint = f"install what is missing, on Debian and Ubuntu: apt install {PACKAGES}"
        raise InputError(f"Qt cannot open a window: {error}", hint=hint) from error
