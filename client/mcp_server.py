"""Command selfstorm-mcp: agents ask a running daemon.

The protocol is the Model Context Protocol. Tools: `status`, `verdict`, `picture`, and, with --allow-set alone, `set`.
They speak over standard input and output, as agents start it:

    {"mcpServers": {"selfstorm": {"command": "selfstorm-mcp", "args": ["--daemon", "gpu-pc", "--key", "agent.key"]}}}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np

from client.cli import key_option
from client.export.png_bytes import grey_png
from client.picture.contrast import auto_levels
from client.remote_daemon import Daemon
from daemon.protocol.address import DaemonAddress
from daemon.protocol.address_option import daemon_option
from daemon.protocol.findings import metric_findings, quality, run_findings
from selfstorm.commands.console import run
from selfstorm.errors import InputError
from selfstorm.metrics.metric_table import MetricTable

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

MAX_SIDE_PX = 1024  # of a picture that is handed to an agent
INSTRUCTIONS = (
    "A daemon that reconstructs super-resolved pictures live from a microscope camera. Ask `verdict` before you rely "
    "on a picture: it says whether frames were lost, and whether the picture explains the camera image."
)


def make_server(address: DaemonAddress, *, may_set: bool = False) -> MCPServer:
    """Make the server of a daemon.

    Args:
        address: Address and key of the daemon.
        may_set: Whether agents may change settings; the key must allow it too.
    """
    from mcp.server.mcpserver import Image, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    server = MCPServer("selfstorm", instructions=INSTRUCTIONS)

    @contextmanager
    def connected() -> Iterator[Daemon]:
        try:
            with Daemon(address, key=address.key) as daemon:
                yield daemon
        except InputError as error:
            raise ToolError(str(error)) from None  # the agent hears of no other error

    def status() -> dict[str, Any]:
        """Report frames, losses, windows, rate, latency and settings."""
        with connected() as daemon:
            return daemon.status().model_dump(mode="json") | {"settings": daemon.info().settings}

    def verdict() -> list[dict[str, str]]:
        """Judge the run and its newest picture, with reasons and remedies."""
        with connected() as daemon:
            now, stream, metrics = daemon.status(), daemon.info().stream, MetricTable(daemon.metrics())
        found = (*run_findings(now, stream), quality(now), *metric_findings(metrics, now))
        return [
            {"name": one.name, "value": one.value, "level": one.level, "explanation": one.explanation} for one in found
        ]

    def picture(
        kind: Literal["newest", "sr.refined", "raw.mean", "quality", "trust", "accumulated"] = "newest",
    ) -> list[Any]:
        """Show the newest picture, and what it was made from.

        Its greys go from `low` to `high`, in its unit.
        """
        with connected() as daemon:
            view = daemon.view(kind)
            if view is not None and max(view.pixels.shape) > MAX_SIDE_PX:
                view = daemon.view(kind, zoom=-(-max(view.pixels.shape) // MAX_SIDE_PX))
        if view is None:
            raise ToolError("there is no picture yet; ask again after one window of frames")
        low, high = auto_levels(view.pixels)
        grey = np.clip((view.pixels - low) / max(high - low, 1e-30) * 255, 0, 255).astype(np.uint8)
        facts = {"low": low, "high": high, "zoom": view.zoom, **view.header.model_dump(mode="json")}
        return [facts, Image(data=grey_png(grey), format="png")]

    def set(changes: dict[str, Any]) -> dict[str, Any]:
        """Change settings, all or none, by the keys that `status` lists.

        Each is returned as [before, after].
        """
        with connected() as daemon:
            return daemon.set(changes)

    tools: tuple[Callable[..., Any], ...] = (status, verdict, picture, *((set,) if may_set else ()))
    for tool in tools:
        server.tool(structured_output=False)(tool)
    return server


@click.command("selfstorm-mcp", context_settings={"help_option_names": ["-h", "--help"]})
@daemon_option
@key_option
@click.option("--allow-set", is_flag=True, help="Let agents change settings, too.")
def serve(daemon: DaemonAddress, key: Path | None, allow_set: bool) -> None:
    """Let agents ask a running daemon, over standard input and output."""
    try:
        server = make_server(replace(daemon, key=key), may_set=allow_set)
    except ImportError:
        raise InputError("the package mcp is missing", hint='install it: pip install "selfstorm[mcp]"') from None
    server.run()


def main() -> None:
    """Run selfstorm-mcp."""
    run(serve)
