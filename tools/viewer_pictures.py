"""Draw the documentation's pictures of the viewer.

They show the real viewer and a real daemon with a simulated cell. Run it with `python tools/viewer_pictures.py`; no
screen is needed. `--states FOLDER` draws every state of tools/viewer_states.py instead, on two screens, dark and light.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtWidgets
from viewer_states import STATES, Fault, RealRun

from client.picture.pictures import PicturePair
from client.session import EmptySource, ViewerSession
from client.widgets.theme import apply_theme
from client.window.demo import Demo
from client.window.preferences import Preferences

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "viewer"
RUN = (sys.executable, "-c", "from daemon.cli import main; main()", "run")
WINDOWS, TIMEOUT_S, SETTLE_S = 5, 900.0, 0.6
SCREENS_PX = ((1280, 800), (1920, 1080))
FAULTS = ("missing", "skipped")  # those that the documentation shows
RATE_HZ = 3  # a new window every 17 s


class ManualPictures:
    """The viewer's window, and the files its pictures are saved to."""

    def __init__(self, config: Path, results: str) -> None:
        self._stopped_s: float | None = None
        demo = Demo((*RUN, str(config)))
        self.session = ViewerSession(Preferences(None), self._clock, demo=demo, demo_results=results)
        self.window = self.session.window
        self.window.show()

    def save(self, path: Path) -> None:
        """Save the window with a refined picture."""
        self.wait(TIMEOUT_S, lambda: self.window.state is None or not _is_preview(self.window.state.shown))
        self.grab(path)

    def grab(self, path: Path) -> None:
        """Save the window as it is, once it has settled."""
        self.wait(SETTLE_S, lambda: False)
        if not self.window.grab().save(str(path), "PNG"):
            raise OSError(f"{path} cannot be written")
        print(path)

    def _clock(self) -> float:
        return time.monotonic() if self._stopped_s is None else self._stopped_s

    def save_state(self, run: RealRun, fault: Fault, path: Path) -> None:
        """Save the window in a state that the run did not have."""
        self._stopped_s = time.monotonic()  # nothing becomes old while the window settles
        self.session.presenter.begin(EmptySource(), fault.received(run, self._stopped_s))
        self.grab(path)

    def start_demo(self) -> RealRun:
        """Start the demo and wait for some refined windows.

        Raises:
            TimeoutError: It has not.
        """
        self.window.welcome.demo.click()
        seen = self.session.presenter
        if not self.wait(TIMEOUT_S, lambda: seen.state.windows >= WINDOWS and _shows_refined(seen.state.shown)):
            raise TimeoutError(f"{seen.state.windows} of {WINDOWS} windows within {TIMEOUT_S:g} s")
        self._stopped_s = time.monotonic()  # this state is held: no preview of the next window replaces it
        seen.begin(EmptySource(), seen.state)
        self.session.demo.stop()
        return RealRun.of(seen.state)

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw all pictures. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, metavar="FOLDER", help="draw every state into a folder instead")
    folder = parser.parse_args(arguments).states
    application = QtWidgets.QApplication([])
    apply_theme(application)
    with tempfile.TemporaryDirectory() as temporary:
        config, results = _config(Path(temporary))
        pictures = ManualPictures(config, results)
        try:
            return _draw_states(pictures, folder) if folder else _draw(pictures)
        finally:
            pictures.session.stop()


def _draw_states(pictures: ManualPictures, folder: Path) -> int:
    """Draw every state on every screen in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    window, run = pictures.window, pictures.start_demo()
    for theme in ("dark", "light"):
        window.set_theme(theme)
        for width, height in SCREENS_PX:
            window.resize(width, height)
            for name, fault in STATES.items():
                pictures.save_state(run, fault, folder / f"{name}-{width}-{theme}.png")
    return 0


def _draw(pictures: ManualPictures) -> int:
    window = pictures.window
    window.welcome.show()
    pictures.save(OUT / "first-start.png")
    run = pictures.start_demo()
    pictures.save(ROOT / "docs" / "viewer.png")
    for mode in ("split", "time"):
        pictures.choose(mode)
        pictures.save(OUT / f"{mode}.png")
    pictures.choose("single")
    pictures.choose("error_map")
    pictures.save(OUT / "error-map.png")
    pictures.choose("trust_map")
    pictures.save(OUT / "trust-map.png")
    pictures.choose("trust_map")
    _measure(pictures)
    window.tabs.setCurrentWidget(window.trends)
    pictures.wait(TIMEOUT_S, lambda: len(window.trends.plots) > len(run.pair.sr.header.metrics) // 2)
    pictures.save(OUT / "trends.png")
    for name in FAULTS:
        pictures.save_state(run, STATES[name], OUT / f"{name}.png")
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
    return pair is not None and not pair.sr.preview and pair.error is not None and pair.trust is not None


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
    text = f"lossless = true  # full quality on a busy computer\n{text}"
    config.write_text(f'{text}\n[server]\nresults = "{results}"\ncontrol = "{control}"\n', encoding="utf-8")
    return config, results


if __name__ == "__main__":
    sys.exit(main())
