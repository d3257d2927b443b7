"""The keyring of a machine: the daemon's own pair of keys, and who else is let in.

    daemon.json    the daemon's public and secret key
    allowed.json   name, public key and role of everybody admitted; 'view' looks, 'control' may also act

Files are replaced as a whole, never written over; those with a secret are for their owner alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import uuid4

import click
from pydantic import Field, model_validator

from daemon.protocol.key_file import KeyFile, KeyModel, KeyName, KeyText, read_model
from daemon.transport.client_socket import belong_together, new_pair
from selfstorm.errors import InputError

MAX_KEYS = 1000
THIS_MACHINE = "this-machine"
Role = Literal["view", "control"]


class Pair(KeyModel):
    """The daemon's own keys."""

    format: Literal["selfstorm-daemon-key"] = "selfstorm-daemon-key"
    version: Literal[1] = 1
    public: KeyText
    secret: KeyText

    @model_validator(mode="after")
    def _are_one(self) -> Self:
        if not belong_together(self.public, self.secret):
            raise ValueError("public and secret key are no pair")
        return self


class Admitted(KeyModel):
    """Somebody who is let in."""

    name: KeyName
    public: KeyText
    role: Role
    since_unix: Annotated[int, Field(ge=0, lt=2**63)]


class Allowed(KeyModel):
    """Everybody who is let in; a name and a key stand for one each."""

    format: Literal["selfstorm-allowed"] = "selfstorm-allowed"
    version: Literal[1] = 1
    keys: Annotated[tuple[Admitted, ...], Field(max_length=MAX_KEYS)] = ()

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        for what in ("name", "public"):
            if len({getattr(one, what) for one in self.keys}) < len(self.keys):
                raise ValueError(f"a {what} stands there twice")
        return self


class Keyring:
    """The files in a folder; the one of this user where none is named. Every method may raise InputError."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(click.get_app_dir("selfstorm"))
        self._pair, self.allowed_path = self.folder / "daemon.json", self.folder / "allowed.json"

    @property
    def _option(self) -> str:
        default = self.folder == Path(click.get_app_dir("selfstorm"))
        return "" if default else f" --keyring {self.folder}"

    def pair(self) -> Pair | None:
        """The daemon's own keys, None where none were made."""
        hint = "put a copy of it back, or remove it and make every key anew"
        return read_model(self._pair, Pair, hint) if self._pair.exists() else None

    def make_pair(self) -> Pair:
        """The daemon's own keys, made where there are none."""
        pair = self.pair()
        if pair is None:
            public, secret = new_pair()
            pair = Pair(public=public, secret=secret)
            write(self._pair, pair)
        return pair

    def own_key(self) -> KeyFile | None:
        """With the daemon's own pair this machine's user is let in by this machine's daemon."""
        pair = self.pair()
        if pair is None:
            return None
        return KeyFile(name=THIS_MACHINE, public=pair.public, secret=pair.secret, server=pair.public)

    def admitted(self) -> tuple[Admitted, ...]:
        """Everybody who is let in."""
        if not self.allowed_path.exists():
            return ()
        return read_model(
            self.allowed_path, Allowed, "put a copy of it back, or remove it and admit everybody anew"
        ).keys

    def allowed_state(self) -> tuple[int, ...]:
        """Another one whenever the file of the admitted has changed."""
        try:
            state = self.allowed_path.stat()
        except OSError:
            return ()
        return (state.st_ino, state.st_mtime_ns, state.st_size)

    def check_free(self, name: str) -> None:
        """Raises InputError where a name is taken."""
        if name == THIS_MACHINE or name in {one.name for one in self.admitted()}:
            hint = f"choose another, or first: selfstorm-daemon keys revoke {name}{self._option}"
            raise InputError("this name is taken", where=name, hint=hint if name != THIS_MACHINE else "choose another")

    def allow(self, name: str, public: str, role: Role) -> None:
        """Let somebody in."""
        self.check_free(name)
        known = self.admitted()
        if other := next((one.name for one in known if one.public == public), ""):
            raise InputError(f"this key is admitted already, as '{other}'", where=name)
        if len(known) >= MAX_KEYS:
            raise InputError(f"{MAX_KEYS} keys are admitted, no more fit", hint="revoke some")
        one = Admitted(name=name, public=public, role=role, since_unix=int(time.time()))
        write(self.allowed_path, Allowed(keys=(*known, one)))

    def revoke(self, name: str) -> None:
        """Let somebody in no longer."""
        known = self.admitted()
        rest = tuple(one for one in known if one.name != name)
        if len(rest) == len(known):
            names = ", ".join(one.name for one in known) or "nobody"
            raise InputError("no such name is admitted", where=name, hint=f"admitted: {names}")
        write(self.allowed_path, Allowed(keys=rest))

    def required(self, address: str) -> Pair:
        """The daemon's keys, where an address beyond loopback needs them and somebody who may come in."""
        pair = self.pair()
        if pair is None or not self.admitted():
            lacks = "the daemon has no key" if pair is None else "nobody's key is admitted"
            raise InputError(
                f"other machines can reach this address, and {lacks}",
                where=address,
                hint=f"make one for who will watch: selfstorm-daemon keys new NAME{self._option}",
            )
        return pair


def write(path: Path, model: KeyModel, *, replace: bool = True) -> None:
    """Write a file as a whole, for its owner alone. Raises InputError."""
    beside = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not replace and path.exists():
            raise InputError("is there already", where=path, hint="name another file with -o")
        # os.open, not Path.open: only it makes the file with this mode from the first moment on
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(model.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise InputError(f"cannot be written ({error.strerror})", where=path) from None
