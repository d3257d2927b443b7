"""Causes of frame losses at a source, with their event texts.

This module imports the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LossCause(StrEnum):
    """Cause of a loss of frames at the source.

    AT_SOURCE is the usual loss of a kind of source, which its frame numbers show.
    """

    AT_SOURCE = "at_source"
    IN_CAMERA = "in_camera"
    NOT_FETCHED = "not_fetched"
    TAKEN = "taken"
    CHANGED = "changed"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """Texts about a loss.

    Attributes:
        code: of the event.
        sentence: text of the event; {count} stands for the number of frames, {rate} for the received frames a second.
        place: where they were lost, behind their number: "3 missing in the recording".
    """

    code: str
    sentence: str
    place: str


IN_BUFFER = SourceLoss(
    "lost_at_source",
    "{count} frames were lost at the source, in the camera's buffer: they came faster than they were taken; use a "
    "smaller region, a longer exposure or a larger sequence buffer",
    "in the camera or its buffer: the events say which",
)
IN_RECORDING = SourceLoss(
    "missing_in_recording",
    "{count} frames are missing in what is played: its numbers skip them, or they cannot be read",
    "missing in the recording",
)
IN_DATA_SET = SourceLoss(
    "missing_in_data_set",
    "{count} frames are missing in the data set: the camera's numbers skip them, so they were lost before they were "
    "saved",
    "missing in the recording",
)
IN_CAMERA = SourceLoss(
    "lost_in_camera",
    "about {count} frames were lost at the source, inside the camera: its clock ran on while its numbers did not; "
    "the computer may be busy: close other programs; else check the camera's cable and driver",
    "in the camera",
)
BY_CAUSE = {
    LossCause.NOT_FETCHED: SourceLoss(
        "not_fetched",
        "{count} frames were not fetched: the camera is faster than Micro-Manager's bridge, which gives {rate:.0f} a "
        "second here; use a smaller region or a longer exposure, or save the frames and follow the data set "
        '(uri = "ndtiff:DIR")',
        "not fetched",
    ),
    LossCause.TAKEN: SourceLoss(
        "taken_by_another",
        "{count} frames were taken out of Micro-Manager's buffer by another program or an acquisition before they "
        'could be read: let it save them, and follow its data set (uri = "ndtiff:DIR")',
        "taken by another program",
    ),
    LossCause.CHANGED: SourceLoss(
        "camera_changed",
        "{count} frames could not be read any more: the camera, its region or its pixel type was changed in "
        "Micro-Manager while they waited in its buffer",
        "left in the buffer when the camera was changed",
    ),
    LossCause.RESTARTED: SourceLoss(
        "unseen_at_restart",
        "about {count} frames were not seen, estimated by the camera's clock: live mode was restarted, or its buffer "
        "emptied, before they could be read",
        "unseen at a restart (estimate)",
    ),
    LossCause.IN_CAMERA: IN_CAMERA,
}
