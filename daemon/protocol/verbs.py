"""Verbs of control requests, and the arguments of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from daemon.protocol.faults import first_fault
from daemon.protocol.messages import MAX_ARGUMENTS, Count, Message
from selfstorm.errors import SelfStormError
from selfstorm.frames import MAX_SIDE_PX, Region


class Arguments(Message):
    """Base of arguments: unlike in messages, an unknown one is an error."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Arguments):
    """A verb without arguments."""


class Changes(Arguments):
    """`set`: keys as in the configuration file; None for the default.

    All of them are changed, or none.
    """

    changes: Annotated[dict[Annotated[str, Field(max_length=64)], Any], Field(min_length=1, max_length=MAX_ARGUMENTS)]


class Mark(Arguments):
    """`mark`: a remark on this moment."""

    text: Annotated[str, Field(max_length=200)] = ""


class Since(Arguments):
    """`events`: those with that number and later."""

    since: Count = 0


class ViewOf(Arguments):
    """`view`: a part of the newest picture of a kind.

    Args:
        kind: 'newest' is the refined picture, or a later window's preview.
        region: Pixels of the picture, cut to it; None for all.
        zoom: So many pixels along each side are averaged into one.
        codec: Packing of the pixels.
        unless: (kind, published_unix_ns) of the picture that the client has: where nothing is newer, the reply says so
            and carries none.
    """

    kind: Literal["newest", "sr.preview", "sr.refined", "raw.mean", "quality", "trust", "accumulated"] = "newest"
    region: Region | None = None
    zoom: Annotated[int, Field(ge=1, le=MAX_SIDE_PX)] = 1
    codec: Literal["raw", "shuffle-zstd"] = "shuffle-zstd"
    unless: tuple[str, Count] | None = None


VERBS: dict[str, type[Arguments]] = {
    "status": Nothing,
    "info": Nothing,
    "metrics": Nothing,
    "events": Since,
    "view": ViewOf,
    "pause": Nothing,
    "resume": Nothing,
    "stop": Nothing,
    "reset-model": Nothing,
    "set": Changes,
    "snapshot": Nothing,
    "record-start": Nothing,
    "record-stop": Nothing,
    "mark": Mark,
}
READING = ("status", "info", "metrics", "events", "view")  # verbs that change nothing


class RefusedRequestError(SelfStormError):
    """A request that cannot be carried out."""


def arguments_of(verb: str, given: dict[str, Any]) -> Arguments:
    """Check the arguments of a verb. Raises RefusedRequestError."""
    if verb not in VERBS:
        raise RefusedRequestError(f"unknown verb '{verb}'; these are known: {', '.join(VERBS)}")
    try:
        return VERBS[verb].model_validate(given)
    except ValidationError as error:
        raise RefusedRequestError(f"'{verb}', {first_fault(error)}") from None
