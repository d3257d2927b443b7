"""`selfstorm-daemon keys`: clients on other machines.

A key lets a client watch, or control, this machine's daemon.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from daemon.keys.store import Keyring, Role, write
from daemon.protocol.key_file import KeyFile, KeyName, KeyText
from daemon.transport.client_socket import new_pair
from selfstorm.errors import InputError

HERE, PORT = "THIS-PC", 5711
keyring_option = click.option(
    "--keyring",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of the keys: [server] keys of the configuration. Your own one if not given.",
)
control_flag = click.option("--control", is_flag=True, help="Allow pause, set and stop, too.")


@click.group()
def keys() -> None:
    """Manage the clients that may connect from other machines."""


@keys.command()
@click.argument("name")
@control_flag
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="NAME.key if not given.")
@click.option(
    "--server-key", metavar="PUBLIC", help="Public key of a daemon elsewhere, which does not know this key yet."
)
@keyring_option
def new(name: str, control: bool, output: Path | None, server_key: str | None, keyring: Path | None) -> None:
    """Make a key for NAME, as a file to copy to the client's machine.

    With --server-key it is made on the client's machine, and its secret never leaves it: run the printed command on
    the daemon's machine.
    """
    name = _name(name)
    file = output or Path(f"{name}.key")
    ring = Keyring(keyring)
    public, secret = new_pair()
    flag = " --control" if control else ""
    if server_key is not None:
        server = _key(server_key)
        write(file, KeyFile(name=name, public=public, secret=secret, server=server), replace=False)
        click.echo(f"{file} holds a secret: keep it here. On the daemon's machine:")
        # "--": a key may begin with a dash
        click.echo(f'    selfstorm-daemon keys allow{flag} -- {name} "{public}"')
        return
    ring.check_free(name)
    server = ring.make_pair().public
    write(file, KeyFile(name=name, public=public, secret=secret, server=server), replace=False)
    ring.allow(name, public, _role(control))
    click.echo(f"with {file} {name} may {_may(_role(control))}: copy it safely to where it is used, and run there:")
    click.echo(f"    selfstorm-viewer --daemon {HERE} --key {file.name}")
    addresses = f'results = "tcp://0.0.0.0:{PORT}" and control = "tcp://0.0.0.0:{PORT + 1}"'
    click.echo(f"This daemon is reached there with {addresses} under [server].")


@keys.command()
@click.argument("name")
@click.argument("public")
@control_flag
@keyring_option
def allow(name: str, public: str, control: bool, keyring: Path | None) -> None:
    """Allow NAME, whose key was made elsewhere, by its PUBLIC key."""
    ring = Keyring(keyring)
    ring.make_pair()
    ring.allow(_name(name), _key(public), _role(control))
    click.echo(f"{name} may {_may(_role(control))}")


@keys.command("list")
@keyring_option
def list_keys(keyring: Path | None) -> None:
    """List the allowed clients and the daemon's public key.

    The daemon's key is made if there is none.
    """
    ring = Keyring(keyring)
    allowed = ring.allowed()
    click.echo(f"the daemon's public key: {ring.make_pair().public}")
    if not allowed:
        click.echo("no client is allowed")
        return
    width = max(len("name"), *(len(one.name) for one in allowed))
    click.echo(f"{'name':{width}}  role     since       public")
    for one in allowed:
        since = time.strftime("%Y-%m-%d", time.gmtime(one.since_unix))
        click.echo(f"{one.name:{width}}  {one.role:7}  {since}  {one.public}")


@keys.command()
@click.argument("name")
@keyring_option
def revoke(name: str, keyring: Path | None) -> None:
    """Stop allowing NAME.

    A running daemon closes the connection within a second.
    """
    Keyring(keyring).revoke(name)
    click.echo(f"{name} is no longer allowed")


def _role(control: bool) -> Role:
    return "control" if control else "view"


def _may(role: Role) -> str:
    return "watch and control" if role == "control" else "watch"


def _name(text: str) -> str:
    try:
        return str(TypeAdapter(KeyName).validate_python(text))
    except ValidationError:
        raise InputError("is not a name", where=text, hint="use up to 64 letters, digits, '.', '_' and '-'") from None


def _key(text: str) -> str:
    try:
        return str(TypeAdapter(KeyText).validate_python(text))
    except ValidationError:
        hint = "copy the 40 characters again, between quotation marks"
        raise InputError("is not a public key", where=repr(text), hint=hint) from None
