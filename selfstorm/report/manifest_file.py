"""Manifest of a live run, read line by line.

The daemon writes it (daemon/processing/manifest.py); of its lines only what a report needs is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selfstorm.errors import InputError, first_line
from selfstorm.frames import StreamInfo
from selfstorm.io.regular_file import check_regular

SUFFIX = ".manifest.ndjson"
GIVE = f"give a file that ends in {SUFFIX}"
MAX_LINE, MAX_LINES = 2**24, 10**6

Number = Annotated[int, Field(ge=0, lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class RunPart(_Part):
    """Start of the run."""

    run: str
    started_unix_ns: Number
    config: dict[str, Any]
    versions: dict[str, str]
    device: str


class WindowPart(_Part):
    """A reconstructed window."""

    stream: str
    first_seq: Number
    last_seq: Number
    seqs: list[Number]
    before: list[Number] = []
    numbers: list[int] = []
    effort: dict[str, Any] = {}
    model_hash: str = ""
    picture_hash: str = ""
    metrics: dict[str, float] = {}


class FailedPart(_Part):
    """A window that could not be reconstructed."""

    first_seq: Number
    last_seq: Number
    error: str


class EventPart(_Part):
    """An event."""

    unix_ns: Number
    level: str
    code: str
    text: str


class ManifestPart(_Part):
    """A line: one of these is set, or none that a report needs."""

    run: RunPart | None = None
    stream: StreamInfo | None = None
    window: WindowPart | None = None
    failed: FailedPart | None = None
    event: EventPart | None = None


def read_manifest(path: Path) -> tuple[RunPart, list[ManifestPart]]:
    """Read a manifest.

    The last line of a run that was killed is left out where it is not whole.

    Returns:
        The start of the run, and the lines after it.

    Raises:
        InputError: it is no manifest.
    """
    check_regular(path, GIVE)
    try:
        first, *rest = _parts(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({first_line(error)})", where=path) from None
    except ValueError:
        raise InputError("is empty", where=path, hint=GIVE) from None
    if first.run is None:
        raise InputError("does not begin with a run", where=f"{path}, line 1", hint=GIVE)
    return first.run, rest


def _parts(path: Path) -> Iterator[ManifestPart]:
    with path.open(encoding="utf-8") as file:
        for number in range(1, MAX_LINES):
            line = file.readline(MAX_LINE)
            if not line:
                return
            try:
                yield ManifestPart.model_validate_json(line)
            except ValidationError as error:
                if not line.endswith("\n") and len(line) < MAX_LINE:
                    return
                fault = error.errors()[0]
                where = f"{path}, line {number}"
                raise InputError(f"is no line of a manifest ({fault['msg']})", where=where) from None
