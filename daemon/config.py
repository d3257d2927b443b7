"""One TOML file into one validated model. The only module that reads configuration from disk."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from daemon.keys.loopback import is_loopback
from daemon.protocol.faults import first_fault
from selfstorm.errors import InputError
from selfstorm.frames import Region

if TYPE_CHECKING:
    from selfstorm.simulation.scene import Scene

SCHEMES = ("simulate", "replay", "ndtiff", "mmcore", "micromanager", "zmq")
ADDRESS = r"^tcp://(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(\*|\d{1,5})$"

Endpoint = Annotated[str, Field(pattern=ADDRESS)]


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key is an error, and so is nan or inf."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MMCoreSection(Section):
    """[source.mmcore]: the Micro-Manager core in process. properties: "Device-Property" = value, set after loading.

    buffer_mb: what the core keeps of frames that are not taken yet; its "sequence buffer".
    """

    exposure_ms: Annotated[float, Field(gt=0, le=60_000)] = 20.0
    buffer_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    properties: dict[str, str | int | float] = Field(default_factory=dict)


class AcquisitionSection(Section):
    """[source.acquisition]: an acquisition that the daemon starts in Micro-Manager; only then is anything set there.

    interval_ms: between two frames; 0 leaves the pace to the camera. What was set is put back at the end.
    """

    frames: Annotated[int, Field(ge=1)]
    exposure_ms: Annotated[float, Field(gt=0, le=5000)] | None = None
    interval_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0.0
    channel_group: str | None = None
    channel: str | None = None

    @model_validator(mode="after")
    def _whole_channel(self) -> Self:
        if (self.channel_group is None) != (self.channel is None):
            raise ValueError("channel_group and channel belong together: give both or neither")
        return self


class SourceSection(Section):
    """[source]: where frames come from. frames: stop after so many.

    key: file that lets us in where frames come from another machine.
    timing, speed, loop: how a recording is replayed. select: of a recording with more axes than time, which place.
    """

    uri: str = "simulate:"
    key: Path | None = None
    rate_hz: Annotated[float, Field(gt=0, le=100_000)] | None = None
    frames: Annotated[int, Field(ge=1)] | None = None
    timing: Literal["rate", "recorded"] = "rate"
    speed: Annotated[float, Field(gt=0, le=1000)] = 1.0
    loop: bool = False
    select: dict[str, int | str] = Field(default_factory=dict)
    simulate: dict[str, Any] = Field(default_factory=dict)
    mmcore: MMCoreSection = MMCoreSection()
    acquisition: AcquisitionSection | None = None

    @property
    def scheme(self) -> str:
        return self.uri.partition(":")[0]

    @property
    def place(self) -> str:
        """What stands behind the scheme: a path, or host:port, or nothing."""
        return self.uri.partition(":")[2]

    @property
    def can_wait(self) -> bool:
        """Whether its frames lie on a disk and nobody paces them: then they wait, and none is lost on its way."""
        return self.scheme == "ndtiff" or (self.scheme == "replay" and self.timing == "rate" and self.rate_hz is None)

    def scene(self) -> Scene:
        """The simulated scene of [source.simulate]."""
        from selfstorm.simulation.scene import Scene

        # A pair is a list in TOML and JSON.
        keys: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in self.simulate.items()}
        try:
            return Scene(**keys)
        except TypeError:
            known = list(Scene.__dataclass_fields__)
            unknown = next((key for key in self.simulate if key not in known), "")
            if not unknown:
                raise
            raise InputError(
                f"unknown key '{unknown}'", where="[source.simulate]", hint=_nearest(unknown, known)
            ) from None

    @model_validator(mode="after")
    def _known_scheme(self) -> Self:
        if self.scheme not in SCHEMES or ":" not in self.uri:
            raise ValueError(f"'{self.uri}' is no source: it starts with one of {', '.join(s + ':' for s in SCHEMES)}")
        if self.scheme == "replay" and not self.place:
            raise ValueError("'replay:' names no file: write replay:PATH")
        if self.scheme == "ndtiff" and not self.place:
            raise ValueError("'ndtiff:' names no folder: write ndtiff:DIR")
        if self.speed != 1 and self.timing != "recorded":
            raise ValueError('speed needs timing = "recorded"; at a rate of your own, set rate_hz')
        if self.scheme == "zmq":
            _check_publisher(self.place, self.uri, self.key)
        elif self.key is not None:
            raise ValueError('key is for frames from another machine: write uri = "zmq:HOST:PORT"')
        if self.acquisition is not None and self.scheme != "micromanager":
            raise ValueError('[source.acquisition] is started in Micro-Manager: write uri = "micromanager:"')
        if self.scheme == "simulate":
            self.scene()
        return self


def source_of(uri: str) -> SourceSection:
    """The source a URI names, with nothing else said of it. Raises InputError."""
    try:
        return SourceSection(uri=uri)
    except ValidationError as error:
        raise InputError(first_fault(error)) from None


def _check_publisher(place: str, uri: str, key: Path | None) -> None:
    """Frames come from this machine, or through a tunnel that ends on it; or from another one that knows our key."""
    host, _, port = place.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"'{uri}' is not zmq:HOST:PORT: write zmq:127.0.0.1:5710")
    if not is_loopback(f"tcp://{place}") and key is None:
        raise ValueError(
            f'{host} gives its frames only to whom it knows: write key = "NAME.key" under [source]; on {host}, '
            f"'selfstorm-daemon keys new NAME' makes that file, and 'selfstorm-daemon publish SOURCE --bind "
            f"tcp://0.0.0.0:{port}' publishes"
        )


class CameraSection(Section):
    """[camera]: what the camera process does not say of itself, or says wrongly."""

    pixel_nm: Annotated[float, Field(gt=1, le=10_000)] | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: Annotated[float, Field(gt=0)] | None = None


class OpticsSection(Section):
    """[optics]: the PSF, learned from the frames where nothing is given."""

    psf_sigma_nm: Annotated[float, Field(ge=10, le=5000)] | None = None
    na: Annotated[float, Field(gt=0, le=1.8)] | None = None
    wavelength_nm: Annotated[float, Field(ge=200, le=2000)] | None = None

    @model_validator(mode="after")
    def _one_psf(self) -> Self:
        if (self.na is None) != (self.wavelength_nm is None):
            raise ValueError("na and wavelength_nm belong together: give both or neither")
        if self.psf_sigma_nm is not None and self.na is not None:
            raise ValueError("the optics are given twice: give psf_sigma_nm, or na with wavelength_nm")
        return self


class ReconstructionSection(Section):
    """[reconstruction]: windows of `window` frames, a new one every `stride` frames.

    region: [y, x, height, width] in camera pixels, the part of the field that is reconstructed. budget: share of the
    time between two windows that may be spent, to leave the machine to others.
    """

    window: Annotated[int, Field(ge=8, le=100_000)] = 100
    stride: Annotated[int, Field(ge=1, le=100_000)] = 50
    scale: Literal[2, 4, 8] = 4
    estimate: Literal["density", "emitters", "fused"] = "fused"
    quality: Literal["best", "fast"] = "fast"
    model: Literal["unrolled", "paper"] = "unrolled"
    tuning_steps: Annotated[int, Field(ge=0, le=100)] = 8
    region: Region | None = None
    budget: Annotated[float, Field(gt=0, le=1)] = 1.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class ServerSection(Section):
    """[server]: where viewers and commands find the daemon; beyond loopback only those whose keys it knows.

    keys: folder of the keyring, the user's own if not given. metrics_port: for Prometheus; none where it is not set.
    """

    results: Endpoint = "tcp://127.0.0.1:5711"
    control: Endpoint = "tcp://127.0.0.1:5712"
    keys: Path | None = None
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = None


class Config(Section):
    """The whole configuration.

    record: folder for raw frames. save: file for the pictures. checkpoint: file that keeps what the model has learned
    for the next run. folder: for snapshots and recordings that somebody asks for while it runs. lossless: the source
    waits for the reconstruction, no window is skipped.
    """

    source: SourceSection = Field(default_factory=SourceSection)  # made when wanted: its scene takes scipy
    camera: CameraSection = CameraSection()
    optics: OpticsSection = OpticsSection()
    reconstruction: ReconstructionSection = ReconstructionSection()
    server: ServerSection = ServerSection()
    record: Path | None = None
    save: Path | None = None
    checkpoint: Path | None = None
    folder: Path = Path("selfstorm-out")
    duration_s: Annotated[float, Field(gt=0)] | None = None
    lossless: bool = False

    @model_validator(mode="after")
    def _can_wait(self) -> Self:
        if self.lossless and self.source.scheme == "zmq":
            raise ValueError("lossless: a publisher elsewhere cannot be made to wait; leave lossless out")
        return self


def load(path: Path, overrides: dict[str, Any]) -> Config:
    """Read and validate a file; overrides (dotted keys, None ignored) win over it. Raises InputError.

    Paths in the file are relative to it, paths in overrides to the current folder.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=path, hint="examples are in configs/") from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"is not TOML: {error}", where=path, hint="mend that line") from None
    _anchor(raw, path.parent)
    for key, value in overrides.items():
        if value is not None:
            *tables, last = key.split(".")
            table: Any = raw
            for name in tables:
                table = table.setdefault(name, {})
            if isinstance(table, dict):  # else validation says what is wrong with it
                table[last] = value
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise explained(error, path) from None


def _anchor(raw: dict[str, Any], folder: Path) -> None:
    for key in ("record", "save", "checkpoint", "folder"):
        if isinstance(raw.get(key), str):
            raw[key] = folder / raw[key]
    source, server = raw.get("source"), raw.get("server")
    for table, key in ((source, "key"), (server, "keys")):
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = folder / table[key]
    if isinstance(source, dict) and isinstance(uri := source.get("uri"), str):
        scheme, colon, place = uri.partition(":")
        if place and scheme in ("replay", "ndtiff", "mmcore"):
            source["uri"] = scheme + colon + str(folder / place)


def explained(error: ValidationError, path: Path | str) -> InputError:
    """The first fault of a configuration in words, with the nearest known key for an unknown one."""
    fault = error.errors(include_url=False)[0]
    names = [str(part) for part in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        section = "".join(f"[{'.'.join(names[:-1])}]: " if names[:-1] else "")
        return InputError(
            f"{section}unknown key '{names[-1]}'", where=path, hint=_nearest(names[-1], _known(names[:-1]))
        )
    what = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch":
        how = "write tcp://127.0.0.1:PORT, or tcp://0.0.0.0:PORT for other machines"
        what = f"{fault['input']!r} is no address to listen on; {how}"
    elif fault["type"] != "value_error":
        what = f"{fault['input']!r}: {what[0].lower()}{what[1:]}"
    return InputError(f"{'.'.join(names)}: {what}", where=path, hint="mend that key")


def _known(section: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for name in section:
        annotation = model.model_fields[name].annotation
        sections = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, Section)]
        annotation = sections[0] if sections else annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
