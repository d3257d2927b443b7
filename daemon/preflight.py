"""Mistakes that keep a configuration from running on this machine.

They are found before torch is loaded, and before anything is opened, announced or made on disk.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from daemon.config import Config
from daemon.keys.loopback import is_loopback
from daemon.keys.store import Keyring
from daemon.transport.client_socket import load_key
from selfstorm.errors import InputError, together
from selfstorm.io.atomic_files import check_file

IN_USE = "cannot listen there: the address is in use, or not one of this machine"
ENGINE = {"torch": 'pip install "selfstorm[engine]"'}


def check_can_run(config: Config) -> None:
    """Check what can be known of a run before it starts.

    Raises:
        InputError: all mistakes at once.
    """
    found = [*_packages(config), *_source(config), *_addresses(config), *_outputs(config)]
    if found:
        raise together(found)


def is_free(endpoint: str) -> bool:
    """Return True if nothing listens at an endpoint of this machine."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if port == "*":
        return True
    host = "" if host == "*" else host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":  # as ZeroMQ does: a daemon that was killed leaves the port waiting for a minute
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _packages(config: Config) -> Iterator[InputError]:
    needed = ENGINE | dict.fromkeys(config.source.kind.packages, config.source.kind.install)
    for name, command in needed.items():
        if not _installed(name):
            yield InputError(f"the package {name} is missing", hint=f"install it: {command}")


def _source(config: Config) -> Iterator[InputError]:
    source = config.source
    if source.kind.stored and source.kind.place == "file" and not Path(source.place).exists():
        yield InputError("no such file", where=source.place, hint="check the path after 'replay:'")
    if source.key is not None:
        yield from _raised(load_key, source.key)


def _addresses(config: Config) -> Iterator[InputError]:
    server = config.server
    if server.results == server.control and not server.results.endswith(":*"):
        yield InputError("results and control have the same address", where=server.results, hint="set two ports")
        return
    for name, address in (("results", server.results), ("control", server.control)):
        if not is_loopback(address):
            yield from _raised(Keyring(server.keys).required, address)
        if not is_free(address):
            hint = f"if another daemon runs, stop it, or set another port as {name} under [server]"
            yield InputError(IN_USE, where=address, hint=hint)


def _outputs(config: Config) -> Iterator[InputError]:
    for path in (config.save, config.checkpoint):
        if path is not None:
            yield from _raised(check_file, path)
    for folder in (config.record, config.folder):
        if folder is not None and folder.exists() and not folder.is_dir():
            yield InputError("is a file, not a folder", where=folder, hint="name a folder")


def _raised(check: Callable[[Any], object], value: object) -> Iterator[InputError]:
    try:
        check(value)
    except InputError as error:
        yield error
