"""Time between two images of a camera, whatever happened to some of them.

A trigger makes the camera pause; a driver, or a busy computer, delivers images late and then at once. Either spoils the
few images around it. So the images are divided into short blocks, and those far from the usual block are left out.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from statistics import median

BLOCK, MIN_BLOCKS = 8, 3
MAX_RATIO = 2  # of a block's time between two images to the usual one, or the reverse


def frame_time_s(times: Collection[tuple[int, float]]) -> float:
    """Measure the time between two images; 0 while unknown.

    Args:
        times: number and time in s of images, in any order.
    """
    if len(times) < 2:
        return 0.0
    ordered = sorted(times)
    ends = [*ordered[: max(1, len(ordered) - BLOCK // 2) : BLOCK], ordered[-1]]
    blocks = [(later - number, later_s - time_s) for (number, time_s), (later, later_s) in pairwise(ends)]
    if len(blocks) >= MIN_BLOCKS:
        took_s = [seconds / images for images, seconds in blocks if images and seconds]
        usual_s = median(took_s) if took_s else 0.0
        blocks = [
            (images, seconds)
            for images, seconds in blocks
            if images * usual_s / MAX_RATIO <= seconds <= images * usual_s * MAX_RATIO
        ]
    images = sum(images for images, _ in blocks)
    return max(sum(seconds for _, seconds in blocks), 0.0) / images if images else 0.0
