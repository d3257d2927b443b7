"""Keyring: the daemon's own key pair and the allowed clients.

    daemon.json    the daemon's public and secret key
    allowed.json   name, public key and role of every allowed client; 'view' watches, 'control' may also change things

Files are replaced as a whole; files with a secret are readable by their owner alone.
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
from selfstorm.io.atomic_files import publish, replace_file

MAX_KEYS = 1000
THIS_MACHINE = "this-machine"
Role = Literal["view", "control"]


class KeyPair(KeyModel):
    """The daemon's own keys."""

    format: Literal["selfstorm-daemon-key"] = "selfstorm-daemon-key"
    version: Literal[1] = 1
    public: KeyText
    secret: KeyText

    @model_validator(mode="after")
    def _are_one(self) -> Self:
        if not belong_together(self.public, self.secret):
            raise ValueError("public and secret key are not a pair")
        return self


class AllowedClient(KeyModel):
    """One client that may connect."""

    name: KeyName
    public: KeyText
    role: Role
    since_unix: Annotated[int, Field(ge=0, lt=2**63)]


class Allowed(KeyModel):
    """All clients that may connect; names and keys are unique."""

    format: Literal["selfstorm-allowed"] = "selfstorm-allowed"
    version: Literal[1] = 1
    keys: Annotated[tuple[AllowedClient, ...], Field(max_length=MAX_KEYS)] = ()

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        for what in ("name", "public"):
            if len({getattr(one, what) for one in self.keys}) < len(self.keys):
                raise ValueError(f"a {what} occurs twice")
        return self


def default_folder() -> Path:
    """Return the user's own folder for keys.

    On Windows it stays on this machine: a roaming profile would copy the secret key to servers and other machines.
    """
    return Path(click.get_app_dir("selfstorm", roaming=False))


class Keyring:
    """Key files in a folder.

    Args:
        folder: this user's own where None.

    Raises:
        InputError: by every method, where a file is damaged or cannot be read or written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._pair, self.allowed_path = self.folder / "daemon.json", self.folder / "allowed.json"

    @property
    def _option(self) -> str:
        default = self.folder == default_folder()
        return "" if default else f" --keyring {self.folder}"

    def pair(self) -> KeyPair | None:
        """Read the daemon's own keys; None if none were made."""
        hint = "restore a copy of it, or remove it and make every key again"
        return read_model(self._pair, KeyPair, hint) if self._pair.exists() else None

    def make_pair(self) -> KeyPair:
        """Read the daemon's own keys; make them if there are none."""
        pair = self.pair()
        if pair is None:
            public, secret = new_pair()
            pair = KeyPair(public=public, secret=secret)
            write(self._pair, pair)
        return pair

    def own_key(self) -> KeyFile | None:
        """Return the key for this user's own clients on this machine.

        Returns:
            A client key for this machine's daemon; None where it has no keys.
        """
        pair = self.pair()
        if pair is None:
            return None
        return KeyFile(name=THIS_MACHINE, public=pair.public, secret=pair.secret, server=pair.public)

    def allowed(self) -> tuple[AllowedClient, ...]:
        """Read all allowed clients."""
        if not self.allowed_path.exists():
            return ()
        return read_model(
            self.allowed_path, Allowed, "restore a copy of it, or remove it and allow every client again"
        ).keys

    def allowed_state(self) -> tuple[int, ...]:
        """Return a value that differs whenever the allow list has changed."""
        try:
            state = self.allowed_path.stat()
        except OSError:
            return ()
        return (state.st_ino, state.st_mtime_ns, state.st_size)

    def check_free(self, name: str) -> None:
        """Raise InputError if a name is taken."""
        if name == THIS_MACHINE or name in {one.name for one in self.allowed()}:
            hint = f"choose another, or first: selfstorm-daemon keys revoke {name}{self._option}"
            raise InputError("this name is taken", where=name, hint=hint if name != THIS_MACHINE else "choose another")

    def allow(self, name: str, public: str, role: Role) -> None:
        """Allow a client to connect."""
        self.check_free(name)
        known = self.allowed()
        if other := next((one.name for one in known if one.public == public), ""):
            raise InputError(f"this key is allowed already, as '{other}'", where=name)
        if len(known) >= MAX_KEYS:
            raise InputError(f"{MAX_KEYS} keys are allowed, which is the maximum", hint="revoke one")
        one = AllowedClient(name=name, public=public, role=role, since_unix=int(time.time()))
        write(self.allowed_path, Allowed(keys=(*known, one)))

    def revoke(self, name: str) -> None:
        """Stop allowing a client to connect."""
        known = self.allowed()
        rest = tuple(one for one in known if one.name != name)
        if len(rest) == len(known):
            names = ", ".join(one.name for one in known) or "no client"
            raise InputError("no client has this name", where=name, hint=f"allowed: {names}")
        write(self.allowed_path, Allowed(keys=rest))

    def required(self, address: str) -> KeyPair:
        """Read the daemon's keys for an address beyond loopback.

        Raises:
            InputError: there are no keys, or no client is allowed.
        """
        pair = self.pair()
        if pair is None or not self.allowed():
            lacks = "the daemon has no key" if pair is None else "no client is allowed"
            raise InputError(
                f"other machines can reach this address, but {lacks}",
                where=address,
                hint=f"make a key for each client: selfstorm-daemon keys new NAME{self._option}",
            )
        return pair


def write(path: Path, model: KeyModel, *, replace: bool = True) -> None:
    """Write a file as a whole, readable by its owner alone.

    Args:
        path: its folder is made where it is missing.
        model: content of the file.
        replace: replace a file of this name.

    Raises:
        InputError: the file exists and may not be replaced, or cannot be written.
    """
    beside = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not replace and os.path.lexists(path):
            raise InputError("exists already", where=path, hint="name another file with -o")
        # os.open, not Path.open: only it makes the file with this mode from the first moment on
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(model.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            replace_file(beside, path)
        else:
            publish(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise InputError(f"cannot be written ({error.strerror})", where=path) from None
