"""Title of the window. Pure."""

from __future__ import annotations

from client.controls.recording_text import recording_text
from client.state import ViewerState

PROGRAM = "Self-STORM live"


def window_title(state: ViewerState) -> str:
    """Name in a title what is shown, and a running recording.

    For example '● REC  500 frames – tcp://127.0.0.1:5711 – Self-STORM live'.
    """
    recording = recording_text(state.status, state.info)
    return " – ".join(filter(None, (recording, state.movie or state.endpoint, PROGRAM)))
