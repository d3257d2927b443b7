"""Check whether this machine keeps up with the camera.

A window of simulated frames of the field's size is reconstructed in a child process, and timed. Larger fields and
longer strides than the measured ones are estimated in proportion.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from daemon.check.camera import Seen
from daemon.check.probes import ok, problem, warning
from daemon.config import Config
from daemon.transport.child_process import ChildProcess, send_line, wait_answer
from selfstorm.metrics.finding import Finding

CHILD_S, SPEED_S = 170.0, 180.0
MAX_SIDE_PX, MAX_WINDOW, MAX_STRIDE = 96, 100, 50  # that are measured
SLOWER = "choose a smaller region or a larger stride under [reconstruction], or a faster device"


def speed(config: Config, seen: Seen) -> Iterator[Finding]:
    """Compare the time of a window with the time between two."""
    chosen, info = config.reconstruction, seen.info
    if info is None or not seen.rate_hz:
        return
    if not seen.paced:
        yield ok("speed", "the source waits: no window is skipped, however long one takes")
        return
    if chosen.model != "unrolled":
        yield ok("speed", f"not measured for the model '{chosen.model}'")
        return
    region = chosen.region
    sides = (info.height, info.width) if region is None else (region.height, region.width)
    height, width = (min(side, MAX_SIDE_PX) for side in sides)
    share = sides[0] * sides[1] / (height * width) * chosen.stride / min(chosen.stride, MAX_STRIDE)
    given: dict[str, Any] = {
        "height": height,
        "width": width,
        "window": min(chosen.window, MAX_WINDOW),
        "stride": min(chosen.stride, MAX_STRIDE),
        **chosen.model_dump(mode="json", include={"scale", "estimate", "quality", "device"}),
    }
    child = ChildProcess("daemon.check.speed", [json.dumps(given)])
    try:
        measured = wait_answer(child, CHILD_S)
    finally:
        child.stop(1.0)
    if "full_s" not in measured:
        yield warning("speed", f"a window could not be timed: {measured['error']}", "ask again on an idle machine")
        return
    yield judged(measured["full_s"] * share, measured["quick_s"] * share, chosen.stride / seen.rate_hz, share > 1)


def judged(full_s: float, quick_s: float, every_s: float, estimated: bool) -> Finding:
    """Judge times of a window.

    Args:
        full_s: at the full level.
        quick_s: at the least level.
        every_s: time between two windows.
        estimated: they were measured on a smaller field or a shorter stride.
    """
    about = "about " if estimated else ""
    what = f"a window takes {about}{full_s:.2g} s, and one comes every {every_s:.2g} s"
    if full_s <= every_s:
        return ok("speed", what)
    if quick_s <= every_s:
        return warning("speed", f"{what}: quality will be reduced to keep up", SLOWER)
    return problem("speed", f"{what}: windows will be skipped, even at the least level ({quick_s:.2g} s)", SLOWER)


def time_levels(given: dict[str, Any]) -> dict[str, float]:
    """Time a stride of a stream at the full and the least level, in s."""
    from selfstorm.compute.device import prepare_device
    from selfstorm.simulation.movie import simulate
    from selfstorm.simulation.scene import Scene
    from selfstorm.stream.compute_resources import Compute
    from selfstorm.stream.frame_store import WindowSpan
    from selfstorm.stream.model_kinds import new_model
    from selfstorm.stream.processing_level import degradation_ladder
    from selfstorm.stream.settings import Settings

    window, stride = given["window"], given["stride"]
    scene = Scene(height=given["height"], width=given["width"])
    raw = np.stack([pixels for pixels, _ in simulate(scene, frames=window + 3 * stride)])
    settings = Settings(
        scene.pixel_nm, scale=given["scale"], estimate=given["estimate"], quality=given["quality"], tuning_steps=0
    )
    model = new_model(settings, raw[:window], Compute(prepare_device(given["device"])))
    full, *_, quick = degradation_ladder(settings.level)
    taken: list[float] = []
    first, end = 0, window
    for level in (full, full, full, quick):  # the first is cold, the second chooses its iterations
        began_s = time.perf_counter()
        numbers = np.arange(0 if end == window else end - stride, end)
        model.ingest(raw[numbers], WindowSpan(numbers, first, stride))
        model.picture(WindowSpan(np.arange(first, end), first, stride), level)
        taken.append(time.perf_counter() - began_s)
        first, end = first + stride, end + stride
    return {"full_s": taken[2], "quick_s": taken[3]}


def main() -> None:
    """Time the window that the command line describes; run in a child process."""
    try:
        send_line(**time_levels(json.loads(sys.argv[1])))
    except Exception as error:  # an installation can be broken in any way
        send_line(error=f"{error}" or type(error).__name__)


if __name__ == "__main__":
    main()
