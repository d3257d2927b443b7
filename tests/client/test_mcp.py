"""An agent asks a running daemon over standard input and output, with the protocol's own client."""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "daemon"))

from daemon_process import Daemon, simulated

from client.export.png_bytes import grey_png

mcp = pytest.importorskip("mcp", reason="needs the extra [mcp]")
anyio = pytest.importorskip("anyio")
SERVER = "from client.mcp_server import main; main()"
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    settings = simulated(rate_hz=200, window=20, stride=20)
    with Daemon(tmp_path_factory.mktemp("mcp"), settings) as running:
        running.started()
        yield running


def agent(daemon, calls, *flags):
    """The names of the tools, and the results of some calls, for an agent that starts the server."""

    async def talk():
        from mcp.client.stdio import StdioServerParameters, stdio_client

        server = StdioServerParameters(command=sys.executable, args=["-c", SERVER, "--daemon", daemon.address, *flags])
        async with stdio_client(server) as streams, mcp.ClientSession(*streams) as session:
            await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            return names, [await session.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(talk)


def test_an_agent_sees_status_verdict_and_picture_and_changes_nothing(daemon):
    daemon.published(1)
    stride = {"changes": {"reconstruction.stride": 25}}
    names, results = agent(daemon, [("status", {}), ("verdict", {}), ("picture", {}), ("set", stride)])
    assert names == {"status", "verdict", "picture"}
    status, verdict, picture, refused = results
    seen = json.loads(status.content[0].text)
    assert seen["run"] == daemon.status().run
    assert seen["frames"]["sent"] == seen["frames"]["received"] + seen["frames"]["missing"]
    assert seen["settings"]["reconstruction.stride"] == 20
    assert {"Camera", "Missing", "Quality"} <= {json.loads(one.text)["name"] for one in verdict.content}
    facts, image = picture.content
    assert json.loads(facts.text)["unit"] == "photons/frame"
    assert base64.b64decode(image.data).startswith(b"\x89PNG")
    assert refused.is_error


def test_an_agent_that_may_set_changes_settings_or_learns_why_not(daemon):
    calls = [("set", {"changes": {"reconstruction.stride": stride}}) for stride in (25, 0)]
    _, (changed, refused) = agent(daemon, calls, "--allow-set")
    assert json.loads(changed.content[0].text) == {"reconstruction.stride": [20, 25]}
    assert refused.is_error
    assert "must be at least 1" in refused.content[0].text


def test_grey_pictures_survive_the_png():
    image = pytest.importorskip("PIL.Image")
    import io

    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(grey_png(pixels)))), pixels)
