"""Laser as a property of a Micro-Manager device."""

from __future__ import annotations

import math
from typing import Any, Protocol

from daemon.feedback.settings import FeedbackSettings
from daemon.sources.core_connection import attach, core_class, detach
from daemon.sources.micromanager import PORT
from daemon.sources.mmcore import open_core
from selfstorm.errors import InputError

TOLERANCE = 0.02  # of the maximum, between what was set and what the device reports


class Laser(Protocol):
    """Power of a laser."""

    def set(self, value: float) -> float:
        """Set the power; return the one that the device reports."""

    def close(self) -> None:
        """Release the device; its power stays."""


class BridgeLaser:
    """Property of a device of the running Micro-Manager.

    Args:
        settings: with the port of Micro-Manager's server, the device and its property.

    Raises:
        InputError: pycromanager is not installed.
    """

    def __init__(self, settings: FeedbackSettings) -> None:
        port = settings.laser.partition(":")[2]
        self._core = attach(core_class(settings.laser), int(port) if port else PORT)
        self._names = settings.device, settings.property

    def set(self, value: float) -> float:
        """Set the property; return its value as the device reports it."""
        self._core.set_property(*self._names, f"{value:.6g}")
        return float(self._core.get_property(*self._names))

    def close(self) -> None:
        """Close the connection, on Micro-Manager's side too."""
        detach(self._core)


class CoreLaser:
    """Property of a device of a Micro-Manager core in this process.

    Args:
        core: CMMCorePlus, which has the device.
        device: label of the device.
        name: of its property.
    """

    def __init__(self, core: Any, device: str, name: str) -> None:
        self._core, self._names = core, (device, name)

    def set(self, value: float) -> float:
        """Set the property; return its value as the device reports it."""
        self._core.setProperty(*self._names, f"{value:.6g}")
        return float(self._core.getProperty(*self._names))

    def close(self) -> None:
        """Leave the core to its owner."""


def open_laser(settings: FeedbackSettings) -> Laser:
    """Open the laser that the settings name."""
    scheme, _, place = settings.laser.partition(":")
    if scheme == "micromanager":
        return BridgeLaser(settings)
    return CoreLaser(open_core(place, settings.laser), settings.device, settings.property)


def set_checked(laser: Laser, value: float, settings: FeedbackSettings) -> float:
    """Set the laser, and check that the device took the value.

    Returns:
        The value as the device reports it.

    Raises:
        InputError: the property cannot be set, is no number, or has another value afterwards.
    """
    name = f"{settings.device}-{settings.property}"
    try:
        found = laser.set(value)
    except Exception as error:  # the bridge raises Exception itself, the core RuntimeError
        why = " ".join(str(error).split())
        raise InputError(f"{name} cannot be set to {value:g}: {why}", where=settings.laser) from None
    if not math.isclose(found, value, abs_tol=TOLERANCE * settings.maximum):
        hint = "is it a number between minimum and maximum that the device takes?"
        raise InputError(f"{name} was set to {value:g} and is {found:g}", where=settings.laser, hint=hint)
    return found
