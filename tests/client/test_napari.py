"""A napari dock that follows a real stream, with napari's own viewer and layers."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from client_stream import Publisher

with warnings.catch_warnings(action="ignore"):  # of what napari itself imports
    napari = pytest.importorskip("napari", reason="needs the extra [napari]")
    npe2 = pytest.importorskip("npe2")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what napari itself uses
MANIFEST = Path(__file__).parents[2] / "client" / "napari.yaml"
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def viewer():
    """napari's viewer without its window, which needs OpenGL."""
    return napari.components.ViewerModel()


@pytest.fixture
def dock(viewer, qtbot, port):
    from client.napari_dock import FollowDaemon

    dock = FollowDaemon(viewer)
    qtbot.addWidget(dock)
    dock.address.setText(f"127.0.0.1:{port}")
    yield dock
    dock.stop()


def test_the_manifest_is_valid():
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert manifest.name == "selfstorm"


def test_pictures_become_layers_in_micrometres_and_follow(viewer, dock, qtbot, port):
    with Publisher(port, run="first-run") as publisher:
        dock.button.click()
        publisher.send_windows_for_ever()
        qtbot.waitUntil(
            lambda: {"camera mean", "super-resolved"} <= {one.name for one in viewer.layers}, timeout=20_000
        )
        layer = viewer.layers["super-resolved"]
        np.testing.assert_allclose(layer.scale, (0.025, 0.025))
        for one in viewer.layers:  # the corner of the first pixel, whose centre napari puts at the translation
            np.testing.assert_allclose(one.translate - one.scale / 2, 0, atol=1e-9)
        first = layer.metadata["window"]
        qtbot.waitUntil(lambda: layer.metadata["window"] > first, timeout=20_000)
        qtbot.waitUntil(lambda: dock.verdict.text().startswith("running, quality"), timeout=20_000)
    qtbot.waitUntil(lambda: "no longer live" in dock.verdict.text(), timeout=20_000)


def test_a_wrong_address_is_said(dock):
    dock.address.setText("no sense")
    dock.button.click()
    assert "is not the address of a daemon" in dock.verdict.text()
