"""The settings a user may change, in words, and from what stands in the form to what `set` takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from selfstorm.errors import InputError

LEARNED = "learned from the frames"
FROM_CAMERA = "as the camera says, or learned"
Kind = Literal["whole", "number", "choice"]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One key of the configuration. empty: what it means to leave it out; '' where it must be given.

    choices: (value, how it is called), of a choice.
    """

    group: str
    key: str
    label: str
    kind: Kind
    placeholder: str = ""
    choices: tuple[tuple[Any, str], ...] = ()


SETTINGS = (
    SettingField("Windows", "reconstruction.window", "Frames in a window", "whole"),
    SettingField("Windows", "reconstruction.stride", "A new picture every … frames", "whole"),
    SettingField("Windows", "reconstruction.budget", "Share of the computer's time, 0 to 1", "number"),
    SettingField(
        "Picture",
        "reconstruction.scale",
        "Finer than the camera",
        "choice",
        choices=((2, "2 times"), (4, "4 times"), (8, "8 times")),
    ),
    SettingField(
        "Picture",
        "reconstruction.estimate",
        "What is estimated",
        "choice",
        choices=(
            ("density", "density: fastest"),
            ("emitters", "emitters"),
            ("fused", "fused: emitters and localisations"),
        ),
    ),
    SettingField(
        "Picture",
        "reconstruction.quality",
        "Quality",
        "choice",
        choices=(("fast", "fast"), ("best", "best: 2 to 3 times slower")),
    ),
    SettingField("Picture", "reconstruction.tuning_steps", "Fine-tuning steps a window", "whole"),
    SettingField("Optics", "optics.psf_sigma_nm", "PSF sigma, nm", "number", LEARNED),
    SettingField("Optics", "optics.na", "or numerical aperture", "number", "none"),
    SettingField("Optics", "optics.wavelength_nm", "with emission wavelength, nm", "number", "none"),
    SettingField("Camera", "camera.pixel_nm", "Pixel in the sample, nm", "number", "as the camera says"),
    SettingField("Camera", "camera.offset_adu", "Offset, ADU", "number", FROM_CAMERA),
    SettingField("Camera", "camera.gain_adu_per_electron", "Gain, ADU per electron", "number", FROM_CAMERA),
)


def format_value(value: Any) -> str:
    """A value as it stands in the form."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def changed_values(before: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The keys whose text is no longer that of the value before, with their new values. Raises InputError."""
    settings_of_group = {setting.key: setting for setting in SETTINGS}
    changed = {key: text.strip() for key, text in texts.items() if text.strip() != format_value(before[key])}
    return {key: _value(settings_of_group[key], text) for key, text in changed.items()}


def _value(setting: SettingField, text: str) -> Any:
    if not text:
        if setting.placeholder:
            return None
        raise InputError(f"{setting.label}: a number is wanted")
    if setting.kind == "choice":
        return next((value for value, _ in setting.choices if str(value) == text), text)
    try:
        return int(text) if setting.kind == "whole" else float(text.replace(",", "."))
    except ValueError:
        kind = "whole number" if setting.kind == "whole" else "number"
        raise InputError(f"{setting.label}: '{text}' is no {kind}") from None
