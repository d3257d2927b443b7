"""What a model has learned, on disk: safetensors with its provenance, written whole or not at all.

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
from selfstorm.io.atomic_files import atomic_write
from selfstorm.physics.camera import Camera
from selfstorm.psf.models import psf_from_dict, psf_to_dict
from selfstorm.stream.model import SequenceModel, Settings

MOST_BYTES = 4 * 2**30
MOST_HEADER = 1_000_000


class Facts(BaseModel):
    """The header: what the tensors belong to, and where they come from."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["selfstorm-sequence-model"]
    format_version: Literal[1]
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
    """16 hexadecimal digits that name what pictures are made with: optics, camera and density."""
    digest = blake2b(json.dumps(psf_to_dict(model.psf), sort_keys=True).encode(), digest_size=8)
    digest.update(str(model.camera).encode())
    if model.density is not None:
        digest.update(model.density.cpu().numpy().tobytes())
    return digest.hexdigest()


def save_model(model: SequenceModel, path: Path, source: str, *, overwrite: bool = False) -> None:
    """Write PATH.part and call it PATH when it is whole. source: which data the model learned from."""
    facts = Facts(
        format="selfstorm-sequence-model",
        format_version=1,
        height=model.grid.height,
        width=model.grid.width,
        scale=model.grid.scale,
        pixel_nm=model.settings.pixel_nm,
        offset_adu=float(model.camera.offset_adu),
        gain_adu_per_electron=float(model.camera.gain_adu_per_electron),
        camera_origin=model.camera.origin,
        psf=psf_to_dict(model.psf),
        frames=model.frames,
        source=source,
        written_by=f"selfstorm {version('selfstorm')}, torch {torch.__version__}, {model.device}",
    )
    try:
        with atomic_write(path, overwrite=overwrite) as part:
            save_file(model.state_dict(), part, {"facts": facts.model_dump_json()})
    except SafetensorError as fault:
        raise InputError(f"cannot be written ({fault})", where=path, hint="check the folder and the rights") from fault


def load_model(path: Path, settings: Settings, field: tuple[int, int], device: torch.device) -> SequenceModel:
    """The model in a file, for a stream of that field (H, W); what the settings give wins over what was learned.

    Raises InputError where the file is no checkpoint, is damaged, or belongs to another field, scale or pixel size.
    """
    facts, tensors = _read(path)
    for name, theirs, ours in (
        ("field", (facts.height, facts.width), tuple(field)),
        ("network scale", facts.scale, settings.network_scale),
        ("pixel size in nm", facts.pixel_nm, settings.pixel_nm),
    ):
        if theirs != ours:
            raise InputError(
                f"was learned with a {name} of {theirs}, this stream has {ours}",
                where=path,
                hint="use the same camera region and settings, or start without it",
            )
    camera = Camera(
        facts.offset_adu if settings.offset_adu is None else settings.offset_adu,
        facts.gain_adu_per_electron if settings.gain_adu_per_electron is None else settings.gain_adu_per_electron,
        facts.camera_origin,
    )
    try:
        model = SequenceModel(settings, field, camera, FieldMoments(), psf_from_dict(facts.psf), device)
        model.load_state_dict(tensors)
    except InputError as fault:
        raise _damaged(path, fault) from fault
    model.frames = facts.frames
    return model


def _read(path: Path) -> tuple[Facts, dict[str, Tensor]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"is larger than {MOST_BYTES >> 30} GiB", where=path, hint="give a checkpoint of selfstorm"
            )
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get("facts", "")
            if not 0 < len(header) < MOST_HEADER:
                raise InputError("is no checkpoint of selfstorm", where=path, hint="give one that selfstorm wrote")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
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
