"""Drift of a table by other programs, in an environment of their own.

    python drift_peers.py TABLE.npz DRIFT.npz METHOD...

TABLE has `frame`, `yx_nm`, `frames` and `reach_nm`, how far to search; DRIFT gets (T, 2) nm for every METHOD, or
nothing where it failed. RCC and AIM are Picasso's (picassosr), COMET is comet-smlm on the CPU. A METHOD is a name and
the localizations of a segment: `rcc:500`.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

PIXEL_NM = 100.0
MAX_SEGMENTS = 40  # pairs of segments are correlated


def picassos(frame: Any, yx_nm: Any, frames: int, a_segment: int, method: str) -> Any:
    """Run one of Picasso's methods; (T, 2) nm."""
    import pandas as pd
    from picasso import aim, postprocess

    side = int(np.ceil(yx_nm.max() / PIXEL_NM)) + 1
    columns = {"frame": frame.astype(np.uint32), "x": yx_nm[:, 1] / PIXEL_NM, "y": yx_nm[:, 0] / PIXEL_NM}
    locs = pd.DataFrame(columns | {"photons": 1000.0, "lpx": 0.2, "lpy": 0.2})
    info = [{"Frames": frames, "Width": side, "Height": side, "Pixelsize": PIXEL_NM}]
    segment = max(frames * a_segment // len(frame), frames // MAX_SEGMENTS, 2)
    if method == "rcc":
        drift = postprocess.undrift(locs, info, segment, display=False)[0]
    else:
        drift = aim.aim(locs, info, segmentation=segment)[2]
    return np.column_stack([drift["y"], drift["x"]]) * PIXEL_NM


def comets(frame: Any, yx_nm: Any, frames: int, a_segment: int, reach_nm: float) -> Any:
    """Run COMET on the CPU; (T, 2) nm."""
    from comet import comet_run_kd

    rows = np.column_stack([yx_nm[:, 1], yx_nm[:, 0], np.zeros(len(frame)), frame])
    segment = max(frames * a_segment // len(frame), 2)
    found = comet_run_kd(rows, 2, segment, max_drift_nm=reach_nm, mode="cpu", min_max_frames=(0, frames - 1))
    found = np.asarray(found[0] if isinstance(found, tuple) else found)
    return found[:frames, [1, 0]]


def main(table: str, output: str, methods: list[str]) -> None:
    """Write the drift of every method, and how long it took."""
    with np.load(table) as data:
        frame, yx_nm, frames = data["frame"], data["yx_nm"], int(data["frames"])
        reach_nm = float(data["reach_nm"])
    results = {}
    for named in methods:
        method, a_segment = named.split(":")
        start = time.process_time()
        try:
            if method == "comet":
                drift = comets(frame, yx_nm, frames, int(a_segment), reach_nm)
            else:
                drift = picassos(frame, yx_nm, frames, int(a_segment), method)
        except Exception as error:  # another program's, whatever it is: its row says so
            print(f"{named}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        results[named] = np.asarray(drift, float)
        results[f"{named} s"] = np.array(time.process_time() - start)
    np.savez(output, allow_pickle=False, **results)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
