"""A source as somebody would add it: this file, and one line in the table of kinds."""

import sys
from uuid import uuid4

import numpy as np

from daemon.config_base import Section
from daemon.sources.camera import CameraFrame, Lost, Pacer
from daemon.sources.kinds import KINDS, OptionsTable, SourceKind, SourceLoss
from selfstorm.frames import StreamInfo

KIND = SourceKind(
    "stripes",
    "stripes:WIDTH",
    "added_source:Stripes",
    options=(OptionsTable("stripes", "added_source:StripesSection"),),
    check_uri="added_source:check_width",
    silent_hint="are the stripes switched on?",
    loss=SourceLoss("stripes_torn", "{count} stripes were torn: handle them with care", "torn"),
    packages=("numpy",),
    install="pip install numpy",
)
# `selfstorm-daemon` with this source.
PROGRAM = (sys.executable, "-c", "from added_source import run; run()")


def run():
    """Run the daemon, whose camera process knows the source too."""
    from daemon.cli import main
    from daemon.sources import supervisor

    child = supervisor.ChildProcess
    supervisor.ChildProcess = lambda _, arguments: child("added_source", arguments)
    KINDS[KIND.scheme] = KIND
    main()


class StripesSection(Section):
    """[source.stripes]: brightness of the bright ones."""

    bright: int = 1000


def check_width(section):
    if not section.place.isdecimal():
        raise ValueError(f"'{section.place}' is no width: write {KIND.usage}")


class Stripes:
    """Bright columns that move; every tenth is torn."""

    def __init__(self, section, stop, resume):
        self._section, self._stop = section, stop
        self._bright = (section.options(StripesSection) or StripesSection()).bright

    def events(self):
        width = int(self._section.place)
        yield StreamInfo(
            stream=uuid4().hex, source=self._section.uri, height=32, width=width, dtype="uint16", pixel_nm=100.0
        )
        pace, number = Pacer(self._section.rate_hz, self._stop), 0
        while not self._stop.is_set():
            yield from pace.waits(number)
            pixels = np.full((32, width), 100, np.uint16)
            pixels[:, number % width] = self._bright
            if number % 10 == 9:
                yield Lost(1)
            else:
                yield CameraFrame(pixels, number)
            number += 1


if __name__ == "__main__":
    from daemon.sources.__main__ import main

    KINDS[KIND.scheme] = KIND
    main()
