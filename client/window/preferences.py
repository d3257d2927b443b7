"""Preferences remembered between sessions, in a store given by the caller."""

from __future__ import annotations

import json
from pathlib import Path

from PySide6 import QtCore

from daemon.protocol.address import DaemonAddress

MAX_RECENT = 8


class Preferences:
    """Preferences of the user.

    Without a store, as for a screenshot, nothing is remembered.
    """

    def __init__(self, store: QtCore.QSettings | None) -> None:
        self._store = store

    @property
    def first_start(self) -> bool:
        """True until the first steps are dismissed."""
        return self._store is not None and self._read("welcomed") != "yes"

    def dismiss_welcome(self) -> None:
        """Remember that the first steps were dismissed."""
        self._write("welcomed", "yes")

    @property
    def theme(self) -> str:
        """Theme chosen last."""
        return "light" if self._read("look") == "light" else "dark"

    @theme.setter
    def theme(self, name: str) -> None:
        self._write("look", name)

    @property
    def mode(self) -> str:
        """Display mode used last."""
        return self._read("mode") or "single"

    @mode.setter
    def mode(self, name: str) -> None:
        self._write("mode", name)

    @property
    def sample(self) -> str:
        """Name of the sample, for file names; empty where none was given."""
        return self._read("sample")

    @sample.setter
    def sample(self, name: str) -> None:
        self._write("sample", name)

    @property
    def recent(self) -> tuple[DaemonAddress, ...]:
        """Recent connections, the last one first.

        Each has the path of its key, never the key itself.
        """
        try:
            kept = json.loads(self._read("recent") or "[]")
            return tuple(DaemonAddress(results, control, Path(key) if key else None) for results, control, key in kept)
        except (ValueError, TypeError):  # an edited file, or one of an older viewer
            return ()

    def remember(self, target: DaemonAddress) -> None:
        """Remember a connection."""
        others = [one for one in self.recent if one.results != target.results]
        kept = [(one.results, one.control, str(one.key.absolute()) if one.key else "") for one in (target, *others)]
        self._write("recent", json.dumps(kept[:MAX_RECENT]))

    def recall(self, target: DaemonAddress) -> DaemonAddress:
        """Complete a target with the control address and key used last.

        Those that are given are kept.
        """
        known = next((one for one in self.recent if one.results == target.results), target)
        kept = known.key if known.key is not None and known.key.is_file() else None
        return DaemonAddress(target.results, target.control or known.control, target.key or kept)

    def layout(self, name: str) -> QtCore.QByteArray:
        """Return the saved sizes of a part of the window; empty without any."""
        value = self._store.value(f"layout/{name}") if self._store is not None else None
        return value if isinstance(value, QtCore.QByteArray) else QtCore.QByteArray()

    def save_layout(self, name: str, sizes: QtCore.QByteArray) -> None:
        """Remember the sizes of a part of the window."""
        self._write(f"layout/{name}", sizes)

    def _read(self, key: str) -> str:
        value = self._store.value(key) if self._store is not None else None
        return value if isinstance(value, str) else ""

    def _write(self, key: str, value: str | QtCore.QByteArray) -> None:
        if self._store is not None:
            self._store.setValue(key, value)
