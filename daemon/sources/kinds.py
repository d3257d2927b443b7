"""Kinds of sources, each declared once.

All code that depends on the kind of a source finds it here.

To add a source, write its module and add one `SourceKind` to `KINDS`. Modules are named, not imported, so that asking
about a source needs neither its packages nor its hardware; this module imports the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from daemon.sources.losses import IN_BUFFER, IN_DATA_SET, IN_RECORDING, SourceLoss


@dataclass(frozen=True, slots=True)
class OptionsTable:
    """A table of options, [source.NAME].

    Attributes:
        name: of the table.
        model: dotted name of the model that validates it.
        only_here: completes "[source.NAME] ..." where the table is an error with any other kind of source; empty where
            it may be there and is not used.
    """

    name: str
    model: str
    only_here: str = ""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source. Dotted names are module:attribute.

    Attributes:
        scheme: of its URI.
        usage: its URI as a user writes it.
        opener: makes the source: (SourceSection, stop: Event, Resume) -> Source. Empty where it is published elsewhere.
        place: kind of path behind the scheme, relative to the configuration file; empty where it is no path.
        place_required: the URI needs a place.
        check_uri: (SourceSection) -> None, raises ValueError for a URI that cannot work.
        options: tables that belong to it.
        stored: its frames lie on a disk: they wait, and an outage costs none.
        paced_by_options: `rate_hz` and `timing` set the pace of a stored one; otherwise it waits to be read.
        self_contained: depends on nothing outside this machine, so a lasting fault is given up after some restarts.
        silent_hint: description for the user when it does not answer.
        loss: usual loss of frames before sending.
        packages: distributions it needs, and `install`, the command that installs them.
        precheck: (SourceSection) -> findings, before it is opened by `check`; a problem there is the last finding.
        beside_acquisition: another program on this machine acquires its frames, and must not be slowed down.
        place_starts_devices: `check` leaves it alone where a place is named.
        frames_again: (SourceSection, keep, ExitStack) -> (number -> pixels), for a run that is repeated.
    """

    scheme: str
    usage: str
    opener: str = ""
    place: Literal["file", "folder", ""] = ""
    place_required: bool = False
    check_uri: str = ""
    options: tuple[OptionsTable, ...] = ()
    stored: bool = False
    paced_by_options: bool = False
    self_contained: bool = False
    silent_hint: str = ""
    loss: SourceLoss = IN_BUFFER
    packages: tuple[str, ...] = ()
    install: str = ""
    precheck: str = ""
    beside_acquisition: bool = False
    place_starts_devices: bool = False
    frames_again: str = ""

    @property
    def published_elsewhere(self) -> bool:
        """True where there is nothing to start: another program publishes."""
        return not self.opener


MICROMANAGER = 'pip install "selfstorm[micromanager]"'

KINDS: dict[str, SourceKind] = {
    kind.scheme: kind
    for kind in (
        SourceKind(
            "simulate",
            "simulate:",
            "daemon.sources.simulate:SimulatedCamera",
            options=(OptionsTable("simulate", "daemon.sources.scene_section:SceneSection"),),
            self_contained=True,
            frames_again="daemon.sources.simulate:SimulatedFrames",
        ),
        SourceKind(
            "replay",
            "replay:PATH",
            "daemon.sources.replay:Replay",
            place="file",
            place_required=True,
            stored=True,
            paced_by_options=True,
            self_contained=True,
            loss=IN_RECORDING,
            frames_again="daemon.sources.replay:recorded_frames",
        ),
        SourceKind(
            "ndtiff",
            "ndtiff:DIR",
            "daemon.sources.ndtiff:NDTiff",
            place="folder",
            place_required=True,
            stored=True,
            loss=IN_DATA_SET,
            beside_acquisition=True,
        ),
        SourceKind(
            "mmcore",
            "mmcore:[CFG]",
            "daemon.sources.mmcore:MMCore",
            place="file",
            options=(OptionsTable("mmcore", "daemon.sources.mmcore:MMCoreSection"),),
            packages=("pymmcore-plus", "mm-test-adapters"),
            install=MICROMANAGER,
            place_starts_devices=True,
        ),
        SourceKind(
            "micromanager",
            "micromanager:[HOST:PORT]",
            "daemon.sources.micromanager:MicroManager",
            options=(
                OptionsTable(
                    "acquisition",
                    "daemon.sources.acquisition:AcquisitionSection",
                    only_here='is started in Micro-Manager: write uri = "micromanager:"',
                ),
            ),
            silent_hint="Micro-Manager does not answer: it is busy, or stands still",
            packages=("pycromanager", "pyjavaz"),
            install=MICROMANAGER,
            precheck="daemon.check.core:micromanager",
            beside_acquisition=True,
        ),
        SourceKind("zmq", "zmq:HOST:PORT", check_uri="daemon.sources.remote:check_publisher"),
    )
}


def scheme_of(uri: str) -> str:
    """Return the part of a source's URI before the first colon."""
    return uri.partition(":")[0]


def loss_of(uri: str) -> SourceLoss:
    """Return the loss that is usual for the source of this URI.

    That of an unknown source is of frames in its buffer.
    """
    kind = KINDS.get(scheme_of(uri))
    return kind.loss if kind else IN_BUFFER


def is_stored(uri: str) -> bool:
    """Return whether the frames of the source of this URI lie on a disk."""
    kind = KINDS.get(scheme_of(uri))
    return kind is not None and kind.stored


def usages() -> str:
    """List all sources as one writes them: 'simulate:, replay:PATH or ...'."""
    *most, last = (kind.usage for kind in KINDS.values())
    return f"{', '.join(most)} or {last}"


def options_model(table: str) -> str | None:
    """Return the model that validates [source.TABLE].

    Returns:
        Its dotted name; None where no kind has such a table.
    """
    tables = {options.name: options.model for kind in KINDS.values() for options in kind.options}
    return tables.get(table)


def resolve(dotted: str) -> Any:
    """Import the object that a dotted name, module:attribute, names."""
    module, _, attribute = dotted.partition(":")
    return getattr(import_module(module), attribute)
