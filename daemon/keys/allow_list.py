"""Allow list: the keyring, and a count of refused clients.

The keyring is read again when it changes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from daemon.drive_work import DriveHangsError, DriveWork
from daemon.keys.store import THIS_MACHINE, AllowedClient, Keyring
from selfstorm.errors import InputError

MAX_REASONS = 20
OTHERS = "for other reasons"
SHOWN_CHARACTERS = 6


class AllowList:
    """Allowed clients by public key.

    All methods may be called from any thread.

    Args:
        keyring: of this machine.
        address: beyond loopback, for error messages.
        report: takes a sentence for the first, tenth, hundredth, ... refusal of each kind.

    Raises:
        InputError: `address` needs keys and there are none.
    """

    def __init__(self, keyring: Keyring, address: str, report: Callable[[str], None]) -> None:
        self._keyring, self._report = keyring, report
        self._lock = threading.Lock()
        self._drive = DriveWork("keyring")
        self._refused: Counter[str] = Counter()
        self._seen: tuple[int, ...] | None = None
        self._by_key: dict[str, AllowedClient] = {}
        self.pair = keyring.required(address)
        self._own = AllowedClient(name=THIS_MACHINE, public=self.pair.public, role="control", since_unix=0)

    def of(self, public: str) -> AllowedClient | None:
        """Return the client with this key; None if the key is not allowed."""
        if public == self.pair.public:
            return self._own
        with self._lock:
            with suppress(DriveHangsError):  # the clients that were allowed before are, until it answers
                self._drive.do(self._read_again, self._keyring.folder)
            return self._by_key.get(public)

    def refuse(self, why: str) -> None:
        """Count a refused connection or request."""
        with self._lock:
            reason = why if why in self._refused or len(self._refused) < MAX_REASONS else OTHERS
            self._refused[reason] += 1
            count = self._refused[reason]
        if count == 10 ** (len(str(count)) - 1):
            self._report(reason + (f" ({count} times so far)" if count > 1 else ""))

    def _read_again(self) -> None:
        """Read the file if it has changed. A damaged file allows no client."""
        seen = self._keyring.allowed_state()
        if seen == self._seen:
            return
        self._seen = seen  # of before reading: a change meanwhile is seen the next time
        try:
            self._by_key = {one.public: one for one in self._keyring.allowed()}
        except InputError as error:
            self._by_key = {}
            self._report(f"no client is allowed: {error}")


def named(public: str) -> str:
    """Abbreviate a key: enough to find it in 'keys list'."""
    return f"key {public[:SHOWN_CHARACTERS]}..."
