"""Checkpoints: a model on disk as safetensors with its provenance.

A checkpoint is written whole or not at all.

Tensors hold numbers alone, the header JSON alone: nothing in a file can run. Everything read is checked before use.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from selfstorm.calibration.field_moments import FieldMoments
from selfstorm.errors import InputError, first_line
from selfstorm.frames import Array
from selfstorm.io.atomic_files import atomic_write
from selfstorm.io.regular_file import check_regular
from selfstorm.physics.camera import Camera
from selfstorm.physics.camera_maps import CALIBRATED, CameraCalibration
from selfstorm.physics.masked import FieldMask
from selfstorm.physics.operators import Grid
from selfstorm.psf.models import psf_from_dict, psf_to_dict
from selfstorm.stream.accumulation_state import accumulation_from, accumulation_tensors
from selfstorm.stream.after_picture import accumulated
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.covariance_history import CovarianceHistory
from selfstorm.stream.field_state import FieldState
from selfstorm.stream.instrument import Calibration
from selfstorm.stream.model import SequenceModel, model_of
from selfstorm.stream.psf_learning import PsfLearning
from selfstorm.stream.settings import Settings

MAX_BYTES = 4 * 2**30
MAX_HEADER = 1_000_000


class Facts(BaseModel):
    """Header of a checkpoint.

    It names the field that the tensors belong to, and their provenance.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["selfstorm-sequence-model"]
    format_version: Literal[2]
    height: int = Field(ge=4, le=16_384)
    width: int = Field(ge=4, le=16_384)
    scale: int = Field(ge=1, le=16)
    pixel_nm: float = Field(gt=0, le=1e6)
    offset_adu: float
    gain_adu_per_electron: float = Field(gt=0)
    camera_origin: str = Field(max_length=1000)
    psf: dict[str, Any]
    frames: int = Field(ge=0)
    source: str = Field(max_length=10_000)
    written_by: str = Field(max_length=1000)


def fingerprint(model: SequenceModel) -> str:
    """Return 16 hexadecimal digits that identify a model.

    They are a hash of all that the pictures depend on: optics, camera and density.
    """
    digest = blake2b(json.dumps(psf_to_dict(model.calibration.psf), sort_keys=True).encode(), digest_size=8)
    digest.update(str(model.calibration.camera).encode())
    if model.state.density is not None:
        digest.update(model.state.density.cpu().numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(model: SequenceModel, path: Path, source: str, *, overwrite: bool = False) -> None:
    """Save a model, whole or not at all.

    Args:
        model: to save.
        path: path of the file.
        source: the data that the model learned from.
        overwrite: replace a file that is there.

    Raises:
        InputError: the file cannot be written, or is there.
    """
    camera, grid = model.calibration.camera, model.grid
    facts = Facts(
        format="selfstorm-sequence-model",
        format_version=2,
        height=grid.height,
        width=grid.width,
        scale=grid.scale,
        pixel_nm=model.settings.pixel_nm,
        offset_adu=float(camera.offset_adu),
        gain_adu_per_electron=float(camera.gain_adu_per_electron),
        camera_origin=camera.origin,
        psf=psf_to_dict(model.calibration.psf),
        frames=model.state.psf_learning.frames,
        source=source,
        written_by=f"selfstorm {version('selfstorm')}, torch {torch.__version__}, {model.compute.device}",
    )
    try:
        with atomic_write(path, overwrite=overwrite) as part:
            save_file(_tensors_of(model), part, {"facts": facts.model_dump_json()})
    except SafetensorError as fault:
        raise InputError(f"cannot be written ({fault})", where=path, hint="check the folder and the rights") from fault


def load_checkpoint(path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> SequenceModel:
    """Load a model for another stream of the same field.

    Args:
        path: path of a checkpoint.
        settings: settings of the stream; camera values given there replace those in the file.
        field: (H, W) of the stream.
        compute: the device.

    Raises:
        InputError: the file is no checkpoint, is damaged, or belongs to another field, scale or pixel size.
    """
    facts, tensors = _read(path)
    for name, theirs, ours in (
        ("field", (facts.height, facts.width), tuple(field)),
        ("network scale", facts.scale, settings.grid_scale),
        ("pixel size in nm", facts.pixel_nm, settings.pixel_nm),
    ):
        if theirs != ours:
            raise InputError(
                f"was learned with a {name} of {theirs}, this stream has {ours}",
                where=path,
                hint="use the same camera region and settings, or start without it",
            )
    _check_pixels(path, facts.camera_origin, settings.pixels)
    camera = Camera(
        facts.offset_adu if settings.offset_adu is None else settings.offset_adu,
        facts.gain_adu_per_electron if settings.gain_adu_per_electron is None else settings.gain_adu_per_electron,
        facts.camera_origin,
    )
    if settings.pixels is not None:
        camera = settings.pixels.camera
    try:
        hot, mask = _hot_pixels(tensors, field), _mask(tensors, field)
        calibration = Calibration(psf_from_dict(facts.psf), camera, hot, mask=mask, pixels=settings.pixels)
        learning = PsfLearning(_moments(tensors), facts.frames, settings.psf)
        grid = Grid(*field, settings.grid_scale, settings.pixel_nm)
        state = FieldState(
            density=_density(tensors, grid, compute.device),
            accumulation=accumulation_from(tensors, grid, settings.scale, compute.device),
            history=CovarianceHistory.from_state(tensors, field, compute.device),
            psf_learning=learning,
        )
        return model_of(settings, calibration, compute, state)
    except InputError as fault:
        raise _damaged(path, fault) from fault


def _check_pixels(path: Path, origin: str, pixels: CameraCalibration | None) -> None:
    """Check that a checkpoint was learned with the same camera calibration."""
    now = "" if pixels is None else pixels.camera.origin
    then = origin if origin.startswith(CALIBRATED) else ""
    if now != then:
        raise InputError(
            f"was learned with {then or 'no calibration of the pixels'}, this stream has {now or 'none'}",
            where=path,
            hint="use the same camera calibration, or start without it",
        )


def _tensors_of(model: SequenceModel) -> dict[str, Tensor]:
    """Return what was learned as tensors on the CPU."""
    model = accumulated(model)
    moments = model.state.psf_learning.up_to_date().moments.state()
    tensors = {f"moments.{name}": torch.tensor(values) for name, values in moments.items()}
    tensors["hot"] = torch.tensor(model.calibration.hot_pixels)
    if (masked := model.calibration.mask.masked) is not None:
        tensors["masked"] = torch.tensor(masked)
    if model.state.density is not None:
        tensors["density"] = model.state.density.detach().cpu().clone()
    return tensors | model.state.history.state() | accumulation_tensors(model.state.accumulation)


def _moments(tensors: dict[str, Tensor]) -> FieldMoments:
    state = {name: tensors.get(f"moments.{name}") for name in FieldMoments().state()}
    if any(part is None for part in state.values()):
        raise InputError(f"no moments among {', '.join(tensors) or 'no tensors'}", where="state")
    return FieldMoments(**{name: part.numpy() for name, part in state.items() if part is not None})


def _hot_pixels(tensors: dict[str, Tensor], field: tuple[int, int]) -> Array:
    hot = tensors.get("hot")
    if hot is None or hot.dtype != torch.bool or hot.shape != tuple(field):
        raise InputError("no map of hot pixels for this field", where="state")
    return np.asarray(hot.numpy())


def _mask(tensors: dict[str, Tensor], field: tuple[int, int]) -> FieldMask:
    masked = tensors.get("masked")
    if masked is None:
        return FieldMask()
    if masked.dtype != torch.bool or masked.shape != tuple(field) or bool(masked.all()):
        raise InputError("no map of masked pixels for this field", where="state")
    return FieldMask(np.asarray(masked.numpy()))


def _density(tensors: dict[str, Tensor], grid: Grid, device: torch.device) -> Tensor | None:
    density = tensors.get("density")
    if density is None:
        return None
    if density.shape != grid.cells or not bool((density >= 0).all()):
        raise InputError(f"a density of shape {tuple(density.shape)} for {grid}", where="state")
    return density.to(device, torch.float32)


def _read(path: Path) -> tuple[Facts, dict[str, Tensor]]:
    check_regular(path, "give a checkpoint of selfstorm")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES >> 30} GiB", where=path, hint="give a checkpoint of selfstorm")
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("facts", "")
            if not 0 < len(header) < MAX_HEADER:
                raise InputError("is no checkpoint of selfstorm", where=path, hint="give one that selfstorm wrote")
            # Cloned: a mapped file could not be replaced on Windows.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping
        facts = Facts.model_validate(json.loads(header))
    except FileNotFoundError:
        raise InputError("no such file", where=path, hint="give a checkpoint that selfstorm wrote") from None
    except OSError as fault:
        raise InputError(f"cannot be read ({fault.strerror})", where=path) from fault
    except (SafetensorError, ValidationError, ValueError, RecursionError) as fault:
        raise _damaged(path, fault) from fault
    if not all(np.isfinite(tensor.numpy()).all() for tensor in tensors.values()):
        raise _damaged(path, "values that are not finite")
    return facts, tensors


def _damaged(path: Path, fault: object) -> InputError:
    said = f"is no checkpoint of selfstorm, or a damaged one ({first_line(fault)})"
    return InputError(said, where=path, hint="start without it")
