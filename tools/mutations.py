"""Seeded generator of mutated messages of our protocol.

Some are nearly right, others are not messages at all.
"""

from __future__ import annotations

import random
import struct
from typing import Any

import msgpack

SIDE = 24  # pixels of a frame
VERSION = [2, 0]
GOOD: dict[str, dict[str, Any]] = {
    "frame": {
        "stream": "stream-of-fuzz",
        "seq": 3,
        "number": 3,
        "shape": [SIDE, SIDE],
        "dtype": "uint16",
        "sent_unix_ns": 1,
    },
    "info": {"stream": "other-stream", "source": "fuzz", "height": SIDE, "width": SIDE, "dtype": "uint16"},
    "heartbeat": {"stream": "stream-of-fuzz", "next_seq": 4, "lost_at_source": 0, "state": "running"},
    "request": {"id": "0123456789", "verb": "set", "arguments": {"changes": {"reconstruction.stride": 25}}},
    "reply": {"id": "0123456789", "ok": True, "result": {}},
    "sr.refined": {"run": "r", "window": 1, "stream": "s", "shape": [4, 4], "first_seq": 0, "last_seq": 1},
    "status": {"run": "r", "version": "1", "state": "running"},
    "event": {"run": "r", "number": 1, "unix_ns": 1, "level": "info", "code": "c", "text": "t"},
}
VERBS = ("status", "info", "events", "view", "set", "mark", "pause", "resume", "record-stop", "reset-model")
SMALL = (None, True, -1, 0, 2**63, 2**64 - 1, -(2**63), 1e308, float("nan"), float("inf"), "", b"\xff" * 9)
WORDS = (*SMALL, "x" * 70_000)


class Mutator:
    """Generator of messages, nearly right or not at all."""

    def __init__(self, seed: int, verbs: tuple[str, ...] = VERBS) -> None:
        self._verbs = verbs
        self.random = random.Random(seed)  # noqa: S311  (no secret is made of it)

    def message(self, kinds: tuple[str, ...]) -> list[bytes]:
        """Return the parts of a mutated message that began as one of these kinds."""
        choose = self.random
        kind = choose.choice(kinds)
        header: dict[Any, Any] = {"v": VERSION, **GOOD[kind]}
        if kind == "request":
            header |= {"id": f"{choose.getrandbits(64):x}", "verb": choose.choice(self._verbs)}
            header["arguments"] = self._tree(3) if choose.random() < 0.5 else {}
        for _ in range(choose.randrange(3)):
            self._change(header)
        parts = [kind.encode(), msgpack.packb(header, default=str)]
        if kind in ("frame", "sr.refined") or choose.random() < 0.05:
            parts.append(choose.randbytes(choose.choice((0, 1, SIDE * SIDE * 2, SIDE * SIDE * 2 - 1, 64))))
        for _ in range(choose.randrange(3)):
            self._damage(parts)
        return parts or [b""]

    def _change(self, header: dict[Any, Any]) -> None:
        choose = self.random
        key = choose.choice([*header, "v", "new", 7])
        match choose.randrange(4):
            case 0:
                header.pop(key, None)
            case 1:
                header[key] = choose.choice(WORDS)
            case 2:
                header[key] = self._tree(choose.randrange(1, 6))
            case _:
                header[key] = choose.randrange(-(2**63), 2**63)

    def _tree(self, depth: int) -> Any:
        choose = self.random
        if depth == 0 or choose.random() < 0.2:
            return choose.choice(SMALL)
        if choose.random() < 0.5:
            return [self._tree(depth - 1) for _ in range(choose.randrange(4))]
        names = ("region", "zoom", "kind", "changes", "since", "reconstruction.window", "optics.na", "text")
        return {choose.choice(names): self._tree(depth - 1) for _ in range(choose.randrange(4))}

    def _damage(self, parts: list[bytes]) -> None:
        choose = self.random
        n = choose.randrange(len(parts)) if parts else 0
        part = parts[n] if parts else b""
        match choose.randrange(10):
            case 0 if part:
                at = choose.randrange(len(part))
                parts[n] = part[:at] + bytes([part[at] ^ (1 << choose.randrange(8))]) + part[at + 1 :]
            case 1:
                parts[n:] = [part[: choose.randrange(len(part) + 1)], *parts[n + 1 :]]
            case 2:
                parts.insert(n, choose.randbytes(choose.randrange(40)))
            case 3:
                del parts[n:]
            case 4:
                parts[n:] = [b"\x91" * choose.randrange(1, 2000), *parts[n + 1 :]]
            case 5:
                parts[n:] = [b"\xdf" + struct.pack(">I", choose.getrandbits(32)) + part, *parts[n + 1 :]]
            case 6:
                choose.shuffle(parts)
            case 7:
                parts.extend([part] * choose.randrange(1, 30))
            case 8:
                parts[n:] = [choose.randbytes(choose.randrange(200)), *parts[n + 1 :]]
            case _:
                parts[n:] = [part * choose.randrange(1, 5), *parts[n + 1 :]]
