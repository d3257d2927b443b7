"""Who is let in at this moment: the keyring, read again when it changes, and what is said where somebody is not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from daemon.keys.store import THIS_MACHINE, Admitted, Keyring
from selfstorm.errors import InputError

MAX_REASONS = 20
OTHERS = "for other reasons"
SHOWN = 6


class AllowList:
    """Everybody admitted, by public key; all methods may be called from any thread.

    tell: takes a sentence for every refusal that is worth one, the first, tenth, hundredth, ... of a kind.
    Raises InputError where there are no keys for `address`.
    """

    def __init__(self, keyring: Keyring, address: str, tell: Callable[[str], None]) -> None:
        self._keyring, self._tell = keyring, tell
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._seen: tuple[int, ...] | None = None
        self._by_key: dict[str, Admitted] = {}
        self.pair = keyring.required(address)
        self._own = Admitted(name=THIS_MACHINE, public=self.pair.public, role="control", since_unix=0)

    def of(self, public: str) -> Admitted | None:
        """Who has this key, None where nobody admitted has."""
        if public == self.pair.public:
            return self._own
        with self._lock:
            self._read_again()
            return self._by_key.get(public)

    def refuse(self, why: str) -> None:
        """Somebody was not let in, or may not do something."""
        with self._lock:
            reason = why if why in self._refused or len(self._refused) < MAX_REASONS else OTHERS
            self._refused[reason] += 1
            count = self._refused[reason]
        if count == 10 ** (len(str(count)) - 1):
            self._tell(reason + (f" ({count} times so far)" if count > 1 else ""))

    def _read_again(self) -> None:
        """Look whether the file has changed. One that is damaged lets nobody in."""
        seen = self._keyring.allowed_state()
        if seen == self._seen:
            return
        self._seen = seen  # of before reading: what changes meanwhile is seen the next time
        try:
            self._by_key = {one.public: one for one in self._keyring.admitted()}
        except InputError as error:
            self._by_key = {}
            self._tell(f"nobody is let in: {error}")


def named(public: str) -> str:
    """A key as it is told: enough to find it in 'keys list'."""
    return f"key {public[:SHOWN]}..."
