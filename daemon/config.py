"""One TOML file into one validated model.

No other module reads configuration from disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from daemon.config_base import Section, nearest_key
from daemon.protocol.address import MAX_PORT
from daemon.protocol.faults import plain
from daemon.sources.kinds import KINDS
from daemon.sources.section import SourceSection, options_keys, source_keys
from daemon.toml_file import read_toml
from selfstorm.errors import InputError, together
from selfstorm.frames import Region
from selfstorm.io.camera_names import CALIBRATION_NAME, NO_CALIBRATION
from selfstorm.stream.model_kinds import MODEL_KINDS, kind_of

ADDRESS = r"^tcp://(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(\*|\d{1,5})$"
MIN_REGION_PX = 4  # a side of the smallest field that can be reconstructed
PATHS = ("record", "save", "accumulated", "localizations", "checkpoint", "folder")  # keys of Config
MAX_AIRY_NM = 2000.0  # wavelength / NA; wider kernels take seconds and gigabytes


def _known_port(address: str) -> str:
    """Check the number of a port; '*' is any free one."""
    port = address.rpartition(":")[2]
    if port != "*" and not 1 <= int(port) <= MAX_PORT:
        raise ValueError(f"no port {port}: give one from 1 to {MAX_PORT}")
    return address


Endpoint = Annotated[str, Field(pattern=ADDRESS), AfterValidator(_known_port)]


def _known_model(name: str) -> str:
    """Check the name of a model kind."""
    if name not in MODEL_KINDS:
        raise ValueError(f"no model '{name}': give {' or '.join(MODEL_KINDS)}")
    return name


class CameraSection(Section):
    """[camera]: properties that override the camera process's own.

    They are needed where the camera does not report them, or reports wrong ones.

    Attributes:
        pixel_nm: side of a camera pixel in the sample.
        offset_adu: mean count of a pixel in the dark.
        gain_adu_per_electron: counts for an electron.
        calibration: name of a calibration of each pixel (selfstorm calibrate camera), or 'none'; where it is not given,
            one that is named like the camera is used, unless offset or gain are given here.
    """

    pixel_nm: Annotated[float, Field(gt=1, le=10_000)] | None = None
    offset_adu: float | None = None
    gain_adu_per_electron: Annotated[float, Field(gt=0)] | None = None
    calibration: Annotated[str, Field(pattern=CALIBRATION_NAME)] | None = None

    @model_validator(mode="after")
    def _one_camera(self) -> Self:
        scalars = self.offset_adu is not None or self.gain_adu_per_electron is not None
        if self.calibration not in (None, NO_CALIBRATION) and scalars:
            raise ValueError("the camera is given twice: give calibration, or offset_adu and gain_adu_per_electron")
        return self


class OpticsSection(Section):
    """[optics]: the PSF, learned from the frames where nothing is given.

    Attributes:
        psf_sigma_nm: standard deviation of a Gaussian PSF.
        na: numerical aperture of the objective.
        wavelength_nm: wavelength of the emitted light.
    """

    psf_sigma_nm: Annotated[float, Field(ge=10, le=5000)] | None = None
    na: Annotated[float, Field(gt=0, le=1.8)] | None = None
    wavelength_nm: Annotated[float, Field(ge=200, le=2000)] | None = None

    @model_validator(mode="after")
    def _one_psf(self) -> Self:
        if (self.na is None) != (self.wavelength_nm is None):
            raise ValueError("na and wavelength_nm belong together: give both or neither")
        if self.psf_sigma_nm is not None and self.na is not None:
            raise ValueError("the optics are given twice: give psf_sigma_nm, or na with wavelength_nm")
        if self.na is not None and self.wavelength_nm is not None and self.wavelength_nm / self.na > MAX_AIRY_NM:
            raise ValueError(
                f"na = {self.na:g} at {self.wavelength_nm:g} nm gives a PSF that is too wide to compute: "
                f"wavelength_nm / na may be at most {MAX_AIRY_NM:g}"
            )
        return self


class ReconstructionSection(Section):
    """[reconstruction]: windows of frames, and what is made of them.

    Attributes:
        window: frames that a picture is made from.
        stride: frames from the start of a window to the start of the next.
        scale: pixels of the picture along a camera pixel.
        estimate: contents of the picture: the density alone, emitters found in it, or localizations fused with it.
        quality: more ('best') or fewer iterations.
        model: 'tiled' for fields larger than the device's memory, 'paper' as published.
        tile_px: longest side of a tile of the model 'tiled', by the device's memory if not given.
        tile_processes: processes that compute its tiles; one a device where there are several, and none besides the
            daemon elsewhere, if not given.
        tuning_steps: gradient steps of fine-tuning the PSF a window; 0 for none.
        motion: 'corrected' shows a moving sample at the time of a window's newest frame, 'as-it-lay' adds its frames up
            as they are.
        region: [y, x, height, width] in camera pixels, the part of the field that is reconstructed.
        budget: share of the time between two windows that may be spent, to leave the machine to others.
        device: processor of the reconstruction; 'auto' takes CUDA, else MPS, else the CPU.
    """

    window: Annotated[int, Field(ge=8, le=100_000)] = 100
    stride: Annotated[int, Field(ge=1, le=100_000)] = 50
    scale: Literal[2, 4, 8] = 4
    estimate: Literal["density", "emitters", "fused"] = "fused"
    quality: Literal["best", "fast"] = "fast"
    model: Annotated[str, AfterValidator(_known_model), Field(json_schema_extra={"enum": [*MODEL_KINDS]})] = "unrolled"
    tile_px: Annotated[int, Field(ge=16, le=4096)] | None = None
    tile_processes: Annotated[int, Field(ge=0, le=64)] | None = None
    tuning_steps: Annotated[int, Field(ge=0, le=100)] = 8
    motion: Literal["corrected", "as-it-lay"] = "corrected"
    region: Region | None = None
    budget: Annotated[float, Field(gt=0, le=1)] = 1.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @model_validator(mode="after")
    def _large_enough(self) -> Self:
        if self.region is not None and min(self.region.height, self.region.width) < MIN_REGION_PX:
            raise ValueError(f"region is smaller than {MIN_REGION_PX} x {MIN_REGION_PX} pixels: choose a larger one")
        return self

    @model_validator(mode="after")
    def _can_estimate(self) -> Self:
        estimates = kind_of(self.model).estimates
        if self.estimate not in estimates:
            raise ValueError(
                f"model '{self.model}' makes no '{self.estimate}': set estimate to {' or '.join(estimates)}"
            )
        return self


class ServerSection(Section):
    """[server]: addresses of the daemon for viewers and commands.

    Beyond loopback only those can connect whose keys the daemon knows.

    Attributes:
        results: address of pictures, status and events.
        control: address of commands.
        keys: folder of the keyring, the user's own if not given.
        metrics_port: port for Prometheus; none where it is not set.
    """

    results: Endpoint = "tcp://127.0.0.1:5711"
    control: Endpoint = "tcp://127.0.0.1:5712"
    keys: Path | None = None
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = None


class Config(Section):
    """The whole configuration.

    Attributes:
        source: of the frames.
        camera: its properties.
        optics: the PSF.
        reconstruction: from frames to pictures.
        server: addresses.
        record: folder for raw frames.
        save: file for the pictures.
        accumulated: file for the picture of all frames of each scene.
        localizations: file for the localizations, .csv, .hdf5 or .smlm.
        checkpoint: file that keeps what the model has learned for the next run.
        folder: folder for snapshots and recordings that are requested while it runs.
        duration_s: time after which the run ends by itself.
        lossless: the source waits for the reconstruction, no window is skipped.
    """

    source: SourceSection = Field(default_factory=SourceSection)  # made when wanted: its scene takes scipy
    camera: CameraSection = CameraSection()
    optics: OpticsSection = OpticsSection()
    reconstruction: ReconstructionSection = ReconstructionSection()
    server: ServerSection = ServerSection()
    record: Path | None = None
    save: Path | None = None
    accumulated: Path | None = None
    localizations: Path | None = None
    checkpoint: Path | None = None
    folder: Path = Path("selfstorm-out")
    duration_s: Annotated[float, Field(gt=0)] | None = None
    lossless: bool = False

    @model_validator(mode="after")
    def _can_wait(self) -> Self:
        if self.lossless and self.source.kind.published_elsewhere:
            raise ValueError("lossless: a publisher elsewhere cannot be made to wait; leave lossless out")
        return self

    @model_validator(mode="after")
    def _can_write_outputs(self) -> Self:
        chosen = self.reconstruction
        kind = kind_of(chosen.model)
        if self.localizations is not None and not kind.can_write("localizations", chosen.estimate):
            raise ValueError('localizations: they come with estimate = "fused" of our own model alone')
        if self.accumulated is not None and not kind.can_write("accumulated", chosen.estimate):
            raise ValueError('accumulated: it comes with estimate = "fused" of our own model alone')
        if self.checkpoint is not None and not kind.can_write("model", chosen.estimate):
            raise ValueError("checkpoint: it comes with our own model alone")
        return self


def load(path: Path, overrides: Mapping[str, Any], anchor: Path | None = None) -> Config:
    """Read and validate a configuration file.

    Args:
        path: A TOML file.
        overrides: Dotted keys that win over the file's; None is ignored. Paths in them are relative to the current
            folder.
        anchor: Folder that paths in the file are relative to; the file's own where None.

    Raises:
        InputError: The file cannot be read or is no valid configuration.
    """
    raw = read_toml(path, "examples are in configs/")
    _anchor(raw, path.parent if anchor is None else anchor)
    return _validated(raw, overrides, path)


def load_defaults(overrides: Mapping[str, Any], where: Path | str) -> Config:
    """Validate the default configuration with overrides.

    Args:
        overrides: Dotted keys and their values; None is ignored.
        where: The user's words, for error messages.

    Raises:
        InputError: An override is not valid.
    """
    return _validated({}, overrides, where)


def _validated(raw: dict[str, Any], overrides: Mapping[str, Any], where: Path | str) -> Config:
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
        raise explained(error, where) from None


def _anchor(raw: dict[str, Any], folder: Path) -> None:
    for key in PATHS:
        if isinstance(raw.get(key), str):
            raw[key] = folder / raw[key]
    source, server = raw.get("source"), raw.get("server")
    for table, key in ((source, "key"), (server, "keys")):
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = folder / table[key]
    if isinstance(source, dict) and isinstance(uri := source.get("uri"), str):
        scheme, colon, place = uri.partition(":")
        if place and scheme in KINDS and KINDS[scheme].place:
            source["uri"] = scheme + colon + str(folder / place)


def explained(error: ValidationError, path: Path | str, model: type[BaseModel] | None = None) -> InputError:
    """Explain all faults of a configuration.

    An unknown key is explained with the nearest known one.

    Args:
        error: Of the validation.
        path: File or place of the configuration, for the message.
        model: That was validated; Config where None.
    """
    return together([_explained(fault, path, model or Config) for fault in error.errors(include_url=False)])


def _explained(fault: Mapping[str, Any], path: Path | str, model: type[BaseModel]) -> InputError:
    names = [str(part) for part in fault["loc"]]
    if isinstance(inner := _cause(fault), InputError):
        what = f"{inner.where}: {inner.what}" if inner.where else inner.what
        return InputError(what, where=path, hint=inner.hint)
    if fault["type"] == "extra_forbidden":
        section = "".join(f"[{'.'.join(names[:-1])}]: " if names[:-1] else "")
        return InputError(
            f"{section}unknown key '{names[-1]}'", where=path, hint=nearest_key(names[-1], _known(names[:-1], model))
        )
    what = plain(fault)
    if fault["type"] == "string_pattern_mismatch":
        how = "write tcp://127.0.0.1:PORT, or tcp://0.0.0.0:PORT for other machines"
        what = f"{fault['input']!r} is no address to listen on; {how}"
    elif fault["type"] != "value_error":
        what = f"{fault['input']!r} {what}"
    return InputError(f"{'.'.join(names)}: {what}" if names else what, where=path, hint="correct the value of that key")


def _cause(fault: Mapping[str, Any]) -> object:
    """Return what a validator raised a ValueError of; None without one."""
    arguments = getattr(fault.get("ctx", {}).get("error"), "args", ())
    return arguments[0] if arguments else None


def _known(section: list[str], model: type[BaseModel]) -> list[str]:
    if section[:1] == ["source"]:
        return source_keys() if len(section) == 1 else options_keys(section[1])
    for name in section:
        annotation = model.model_fields[name].annotation
        sections = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, Section)]
        annotation = sections[0] if sections else annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
