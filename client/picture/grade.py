"""Grade of a picture: FULL, REDUCED, QUICK or PREVIEW. Pure."""

from __future__ import annotations

from client.picture.pictures import PicturePair
from daemon.protocol.findings import quality
from selfstorm.metrics.finding import Level


def grade_text(pair: PicturePair) -> str:
    """Name how the picture was computed; empty where a file does not say."""
    if pair.sr.preview:
        return "PREVIEW"
    stated = pair.sr.header.estimate and not (pair.sr.file and "grade" in pair.sr.file.absent)
    return pair.sr.header.grade.upper() if stated else ""


def picture_title(pair: PicturePair) -> str:
    """Name the picture; of a file without a record nothing is known."""
    return "Picture of a file" if pair.sr.file and "estimate" in pair.sr.file.absent else "Super-resolved"


def grade_level(pair: PicturePair) -> Level:
    """Return how serious the grade is."""
    return quality(pair.sr.header).level


def grade_explanation(pair: PicturePair) -> str:
    """Explain the grade, with the remedy of a reduced one."""
    return quality(pair.sr.header).explanation
