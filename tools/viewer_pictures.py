"""Draw the documentation's pictures of the viewer.

They show the real viewer and a real daemon with a simulated cell.

Run it with `python tools/viewer_pictures.py`; no screen is needed. Pictures of faults (missing frames, a stale picture)
are not among them.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtWidgets

from client.picture.pictures import PicturePair
from client.session import ViewerSession
from client.widgets.theme import apply_theme
from client.window.demo import Demo
from client.window.preferences import Preferences

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "viewer"
RUN = (sys.executable, "-c", "from daemon.cli import main; main()", "run")
WINDOWS, TIMEOUT_S, SETTLE_S = 5, 180.0, 0.6
RATE_HZ = 5  # a busy computer keeps up with it at full quality


class ManualPictures:
    """The viewer's window, and the files its pictures are saved to."""

    def __init__(self, config: Path, results: str) -> None:
        self.session = ViewerSession(Preferences(None), demo=Demo((*RUN, str(config))), demo_results=results)
        self.window = self.session.window
        self.window.show()

    def save(self, path: Path) -> None:
        """Save the window once it has settled."""
        self.wait(SETTLE_S, lambda: False)
        self.wait(TIMEOUT_S, lambda: self.window.state is None or not _is_preview(self.window.state.shown))
        if not self.window.grab().save(str(path), "PNG"):
            raise OSError(f"{path} cannot be written")
        print(path.relative_to(ROOT))

    def choose(self, name: str) -> None:
        """Choose an entry of the menus."""
        self.window.menu_actions[name].trigger()

    def wait(self, timeout_s: float, condition: Callable[[], bool]) -> bool:
        """Run the window until a condition holds or the time is over.

        Returns:
            True if it holds.
        """
        end_s = time.monotonic() + timeout_s
        while not (held := condition()) and time.monotonic() < end_s:
            QtWidgets.QApplication.processEvents()
            time.sleep(0.01)
        return held


def main() -> int:
    """Draw all pictures. Returns the exit code."""
    application = QtWidgets.QApplication([])
    apply_theme(application)
    with tempfile.TemporaryDirectory() as folder:
        config, results = _config(Path(folder))
        pictures = ManualPictures(config, results)
        try:
            return _draw(pictures)
        finally:
            pictures.session.stop()


def _draw(pictures: ManualPictures) -> int:
    window = pictures.window
    window.welcome.show()
    pictures.save(OUT / "first-start.png")
    window.welcome.demo.click()
    state = pictures.session.presenter
    if not pictures.wait(TIMEOUT_S, lambda: state.state.windows >= WINDOWS and _shows_refined(state.state.shown)):
        print(f"error: {state.state.windows} of {WINDOWS} windows within {TIMEOUT_S:g} s", file=sys.stderr)
        return 1
    pictures.save(ROOT / "docs" / "viewer.png")
    for mode in ("split", "time"):
        pictures.choose(mode)
        pictures.save(OUT / f"{mode}.png")
    pictures.choose("single")
    pictures.choose("error_map")
    pictures.save(OUT / "error-map.png")
    pictures.choose("error_map")
    _measure(pictures)
    window.tabs.setCurrentWidget(window.trends)
    pictures.save(OUT / "trends.png")
    pictures.choose("light")
    pictures.save(OUT / "light.png")
    return 0


def _measure(pictures: ManualPictures) -> None:
    """Draw a line profile, then a region, in the middle of the field."""
    window = pictures.window
    field = window.sr.field
    if field is None:
        return
    width, height = field.width, field.height
    pictures.choose("profile")
    window.profile_line.drag((0.33 * width, 0.45 * height), (0.5 * width, 0.45 * height))
    pictures.save(OUT / "profile.png")
    pictures.choose("profile")
    pictures.choose("region")
    window.region_box.drag((0.3 * width, 0.3 * height), (0.6 * width, 0.55 * height))
    pictures.save(OUT / "region.png")
    pictures.choose("region")


def _is_preview(pair: PicturePair | None) -> bool:
    return pair is not None and pair.sr.preview


def _shows_refined(pair: PicturePair | None) -> bool:
    return pair is not None and not pair.sr.preview and pair.error is not None


def _config(folder: Path) -> tuple[Path, str]:
    """Write the shipped simulation with ports of its own.

    Returns:
        Its file and the address of its results.
    """
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        results, control = (f"tcp://127.0.0.1:{probe.getsockname()[1]}" for probe in probes)
    config = folder / "simulate.toml"
    shipped = (ROOT / "configs" / "simulate.toml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^rate_hz = .*$", f"rate_hz = {RATE_HZ}", shipped)
    config.write_text(f'{text}\n[server]\nresults = "{results}"\ncontrol = "{control}"\n', encoding="utf-8")
    return config, results


if __name__ == "__main__":
    sys.exit(main())
