"""Base of every configuration section, and hints for unknown keys."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections.

    It is immutable. An unknown key is an error, and so is nan or inf.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def nearest_key(word: str, known: list[str]) -> str:
    """Suggest the known key that is nearest to an unknown one, or list all."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
