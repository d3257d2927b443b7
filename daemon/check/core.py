"""Check of a running Micro-Manager: camera, sequence, frame rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from daemon.check.bridge import bridge
from daemon.check.pixel_size import CALIBRATE, plausible
from daemon.check.probes import ok, problem, warning
from daemon.sources.core_connection import attach, core_class, detach
from daemon.sources.field import UnusableFieldError, check_camera, field_of, settings_of
from daemon.sources.image_buffer import BufferedImage, ImageBuffer, ImagesChangedError
from daemon.sources.micromanager import port_of
from daemon.sources.next_look import BUSY
from daemon.sources.section import SourceSection
from selfstorm.metrics.finding import Finding

LOOKS = 15
NAME = "Micro-Manager"


@dataclass(frozen=True, slots=True)
class Looks:
    """Result of fetching the newest image several times.

    Attributes:
        image: the last one fetched.
        look_s: usual time of a fetch, in seconds.
        camera_hz: frames a second of the camera.
        removed: images that went out of the buffer meanwhile.
        capacity: images that the buffer holds.
    """

    image: BufferedImage
    look_s: float
    camera_hz: float
    removed: int
    capacity: int


def micromanager(source: SourceSection) -> Iterator[Finding]:
    """Check the server, then the core behind it.

    Nothing is set or taken there.
    """
    answers = True
    for finding in bridge(source):
        yield finding
        answers = answers and finding.level != "bad"
    if not answers:
        return
    core = None
    try:
        core = attach(core_class(source.uri), port_of(source))
        yield from examine_core(core)
    except Exception as error:
        if type(error) is not Exception:  # the bridge raises Exception itself
            raise
        why = str(error).partition("\n")[0]
        yield problem(NAME, f"its bridge failed: {why}", "restart Micro-Manager, then check again")
    finally:
        detach(core)


def examine_core(core: Any) -> Iterator[Finding]:
    """Check the core's camera and what it is doing."""
    try:
        check_camera(core)
    except UnusableFieldError as error:
        what, _, hint = str(error).partition(": ")
        yield problem(NAME, what, hint)
        return
    running = bool(core.is_sequence_running())
    try:
        looks = _look(core)
    except ImagesChangedError:
        looks = None
    yield _sequence(running, looks)
    if looks is not None:
        yield _rate(looks, running)
    if not running:  # else the camera's frames say it
        yield _pixel_size(settings_of(core).pixel_um * 1e3)


def _look(core: Any) -> Looks | None:
    """Fetch the newest image several times.

    Returns:
        The measured times and counts; None where the buffer is empty.

    Raises:
        ImagesChangedError: the camera was changed meanwhile.
    """
    buffer = ImageBuffer(core)
    took_s: list[float] = []
    numbers: list[int] = []
    removed: list[int] = []
    begin_s, image = time.perf_counter(), None
    for _ in range(LOOKS):
        start_s = time.perf_counter()
        image = buffer.image(0)
        if image is None:
            return None
        took_s.append(time.perf_counter() - start_s)
        numbers.append(image.number)
        removed.append(image.number + 1 - buffer.images())
    if image is None:
        return None
    camera_hz = (numbers[-1] - numbers[0]) / (time.perf_counter() - begin_s)
    return Looks(image, median(took_s), camera_hz, removed[-1] - removed[0], buffer.capacity())


def _sequence(running: bool, looks: Looks | None) -> Finding:
    if not running:
        return ok(NAME, "neither live mode nor an acquisition is running")
    newer = 0 if looks is None else 2 + int(2 * looks.camera_hz * looks.look_s)  # between a look and a count
    if looks is not None and newer < looks.removed < looks.capacity - newer:
        return warning(
            NAME,
            "an acquisition, or another program, takes the images out of its buffer",
            'let it save them, and follow its data set: uri = "ndtiff:DIR"',
        )
    return ok(NAME, "live mode, or an acquisition that leaves the images in the buffer, is running")


def _pixel_size(pixel_nm: float) -> Finding:
    if pixel_nm > 0:
        return plausible(pixel_nm, "from Micro-Manager")
    return warning("pixel size", "not calibrated in Micro-Manager", CALIBRATE)


def _rate(looks: Looks, running: bool) -> Finding:
    field, rate_hz = field_of(looks.image.tags), BUSY / looks.look_s
    what = (
        f"fetching an image of {field.width} x {field.height} px takes {looks.look_s * 1e3:.1f} ms: up to "
        f"{rate_hz:.0f} frames/s can be followed"
    )
    if running and looks.camera_hz > rate_hz:
        hint = "use a smaller region or a longer exposure: the frames in between are skipped, and counted"
        return warning("frame rate", f"{what}; the camera gives {looks.camera_hz:.0f}", hint)
    return ok("frame rate", what)
