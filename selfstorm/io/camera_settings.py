"""Camera settings of ThunderSTORM, Picasso and SMAP, as text.

ThunderSTORM  protocol.txt of an export (JSON), or a macro line `run("Camera setup", "offset=414.0 ...")`
Picasso       config.yaml, section Cameras: Baseline, Sensitivity, Gain, Quantum Efficiency
SMAP          lines `offset = 100`, `conversion = 0.24`, `emgain = 300`, `EMon = 1` (parameters of its Camera Manager)

All three state electrons per ADU before EM gain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfstorm.errors import InputError
from selfstorm.io.regular_file import read_regular

MAX_BYTES = 1_000_000
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class ForeignCamera:
    """Settings of a camera as another program states them.

    Attributes:
        program: that states them.
        offset_adu: level of a dark pixel.
        gain_adu_per_electron: EM gain included.
        em_gain: 1 without.
        pixel_nm: in the sample; None where not stated.
        read_noise_electrons: before EM gain; None where not stated.
    """

    program: str
    offset_adu: float
    gain_adu_per_electron: float
    em_gain: float = 1.0
    pixel_nm: float | None = None
    read_noise_electrons: float | None = None

    def values(self) -> Iterator[tuple[str, float]]:
        """Iterate over the stated values with their names."""
        named = {
            "offset (ADU)": self.offset_adu,
            "gain (ADU per electron)": self.gain_adu_per_electron,
            "EM gain": self.em_gain,
            "read noise (electrons)": self.read_noise_electrons,
            "pixel (nm)": self.pixel_nm,
        }
        return ((name, value) for name, value in named.items() if value is not None)


def read_camera_settings(path: Path, camera: str | None = None) -> ForeignCamera:
    """Read the camera settings of a file.

    Args:
        path: of ThunderSTORM, Picasso or SMAP.
        camera: name of the camera, and of its readout modes separated by '/', where the file has several.

    Raises:
        InputError: the file has none, or several.
    """
    try:
        text = read_regular(path, "give the settings' own file", MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    try:
        for read in (_thunderstorm, _picasso, _smap):
            if (found := read(text, camera)) is not None:
                return found
    except (ValueError, TypeError, KeyError, ZeroDivisionError, RecursionError) as error:
        raise InputError(f"has camera settings that cannot be used ({error})", where=path) from None
    raise InputError(
        "has no camera settings that are known",
        where=path,
        hint="give ThunderSTORM's protocol, Picasso's config.yaml, or offset, conversion and emgain as SMAP names them",
    )


def _thunderstorm(text: str, camera: str | None) -> ForeignCamera | None:
    """Read a protocol, or the macro line of the camera setup."""
    at = text.find("cameraSettings")
    if at >= 0:
        facts = json.JSONDecoder().raw_decode(text, text.index("{", at))[0]
        facts = {key.casefold(): value for key, value in facts.items()}
    elif (macro := re.search(r'run\(\s*"Camera setup"\s*,\s*"([^"]*)"', text)) is not None:
        facts = dict(pair.split("=", 1) for pair in macro[1].split() if "=" in pair)
    else:
        return None
    is_em = str(facts.get("isemgain", "false")).casefold() == "true"
    em_gain = float(facts.get("gain", facts.get("gainem", 1.0))) if is_em else 1.0
    noise = float(facts.get("readoutnoise", 0.0))
    pixel = float(facts["pixelsize"]) if "pixelsize" in facts else None
    return _settings("ThunderSTORM", float(facts["offset"]), float(facts["photons2adu"]), em_gain, pixel, noise)


def _picasso(text: str, camera: str | None) -> ForeignCamera | None:
    """Read Picasso's configuration of cameras."""
    cameras = nested_yaml(text).get("Cameras")
    if not isinstance(cameras, dict):
        return None
    name, *modes = [part.strip() for part in (camera or "").split("/") if part.strip()] or list(cameras)[:1]
    if camera is None and len(cameras) != 1:
        raise ValueError(f"several cameras: name one of {', '.join(cameras)}")
    facts = cameras[name]
    sensitivity = facts["Sensitivity"]
    while isinstance(sensitivity, dict):
        mode = modes.pop(0) if modes else None
        if mode is None and len(sensitivity) == 1:
            mode = next(iter(sensitivity))
        if mode not in sensitivity:
            raise ValueError(f"name a readout mode after the camera: CAMERA/{'|'.join(sensitivity)}")
        sensitivity = sensitivity[mode]
    pixel = facts.get("Pixelsize")
    offset, em_gain = float(facts.get("Baseline", 100.0)), float(facts.get("Gain", 1.0))
    return _settings("Picasso", offset, float(sensitivity), em_gain, None if pixel is None else float(pixel))


def _smap(text: str, camera: str | None) -> ForeignCamera | None:
    """Read parameters as SMAP's Camera Manager names them."""
    found = {
        key.casefold(): float(value)
        for key, value in re.findall(rf"^\s*(?:\w+\.)*(\w+)\s*[=:]\s*({NUMBER})\s*;?\s*(?:%.*)?$", text, re.MULTILINE)
    }
    if not {"offset", "conversion"} <= found.keys():
        return None
    em_gain = found.get("emgain", 1.0) if found.get("emon", 1.0) else 1.0
    pixel = found.get("cam_pixelsize_um")
    return _settings("SMAP", found["offset"], found["conversion"], em_gain, None if pixel is None else 1000 * pixel)


def _settings(
    program: str,
    offset: float,
    electrons_per_adu: float,
    em_gain: float,
    pixel_nm: float | None = None,
    read_noise: float | None = None,
) -> ForeignCamera:
    em_gain = max(em_gain, 1.0)
    if not electrons_per_adu > 0:
        raise ValueError(f"{electrons_per_adu} electrons per ADU")
    noise = read_noise / em_gain if read_noise else None  # before the register
    return ForeignCamera(program, offset, em_gain / electrons_per_adu, em_gain, pixel_nm, noise)


def nested_yaml(text: str) -> dict[str, Any]:
    """Read the mappings of a YAML text; lists and other forms are left out.

    Args:
        text: keys and values with indentation, as Picasso's configuration.
    """
    root: dict[str, Any] = {}
    open_: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    for raw in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        key, colon, value = line.strip().partition(":")
        if not colon or (value and not value[0].isspace()):
            continue
        indent = len(line) - len(line.lstrip())
        while open_[-1][0] >= indent:
            open_.pop()
        parent = open_[-1][1]
        key, value = key.strip("'\" "), value.strip("'\" ")
        if value:
            parent[key] = value
        else:
            child: dict[str, Any] = {}
            parent[key] = child
            open_.append((indent, child))
    return root
