"""Settings a user may change: labels, and conversion of text to values.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from selfstorm.errors import InputError

LEARNED = "learned from the frames"
FROM_CAMERA = "from the camera, or learned"
Kind = Literal["whole", "number", "choice", "text"]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of the configuration.

    Attributes:
        group: Heading of its group.
        key: Key in the configuration file.
        label: Name shown.
        kind: Kind of its value.
        placeholder: Value used where it is left empty; '' where it is required.
        choices: (value, label) of each choice.
    """

    group: str
    key: str
    label: str
    kind: Kind
    placeholder: str = ""
    choices: tuple[tuple[Any, str], ...] = ()


SETTINGS = (
    SettingField("Windows", "reconstruction.window", "Frames per window", "whole"),
    SettingField("Windows", "reconstruction.stride", "Stride: a new picture every … frames", "whole"),
    SettingField("Windows", "reconstruction.budget", "Share of processor time, 0 to 1", "number"),
    SettingField(
        "Picture",
        "reconstruction.scale",
        "Magnification",
        "choice",
        choices=((2, "2x"), (4, "4x"), (8, "8x")),
    ),
    SettingField(
        "Picture",
        "reconstruction.estimate",
        "Estimate",
        "choice",
        choices=(
            ("density", "density (fastest, without a verdict)"),
            ("emitters", "emitters"),
            ("fused", "fused (emitters and localizations)"),
        ),
    ),
    SettingField(
        "Picture",
        "reconstruction.quality",
        "Quality",
        "choice",
        choices=(("fast", "fast"), ("best", "best (2 to 3 times slower)")),
    ),
    SettingField(
        "Picture",
        "reconstruction.motion",
        "A moving sample",
        "choice",
        choices=(("corrected", "at the newest frame"), ("as-it-lay", "as it was in each frame")),
    ),
    SettingField("Picture", "reconstruction.tuning_steps", "Fine-tuning steps per window", "whole"),
    SettingField("Picture", "reconstruction.tile_px", "Side of a tile (camera pixels)", "whole", "by the memory"),
    SettingField("Picture", "reconstruction.tile_processes", "Processes for tiles", "whole", "one a device"),
    SettingField("Optics", "optics.psf_sigma_nm", "PSF sigma (nm)", "number", LEARNED),
    SettingField("Optics", "optics.na", "or numerical aperture", "number", "none"),
    SettingField("Optics", "optics.wavelength_nm", "and emission wavelength (nm)", "number", "none"),
    SettingField("Camera", "camera.pixel_nm", "Pixel size in the sample (nm)", "number", "from the camera"),
    SettingField("Camera", "camera.offset_adu", "Offset (ADU)", "number", FROM_CAMERA),
    SettingField("Camera", "camera.gain_adu_per_electron", "Gain (ADU per electron)", "number", FROM_CAMERA),
    SettingField("Camera", "camera.calibration", "or calibration of the pixels", "text", "by the camera's name"),
)


def format_value(value: Any) -> str:
    """Format a value for the form."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def changed_values(before: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Collect the values that were changed in the form.

    Args:
        before: Values before, by key.
        texts: Texts of the form, by key.

    Returns:
        New values by key.

    Raises:
        InputError: A text is no valid value.
    """
    settings_of_group = {setting.key: setting for setting in SETTINGS}
    changed = {key: text.strip() for key, text in texts.items() if text.strip() != format_value(before[key])}
    return {key: _value(settings_of_group[key], text) for key, text in changed.items()}


def _value(setting: SettingField, text: str) -> Any:
    if not text:
        if setting.placeholder:
            return None
        raise InputError(f"{setting.label}: a number is needed")
    if setting.kind == "choice":
        return next((value for value, _ in setting.choices if str(value) == text), text)
    if setting.kind == "text":
        return text
    try:
        return int(text) if setting.kind == "whole" else float(text.replace(",", "."))
    except ValueError:
        kind = "whole number" if setting.kind == "whole" else "number"
        raise InputError(f"{setting.label}: '{text}' is not a {kind}") from None
