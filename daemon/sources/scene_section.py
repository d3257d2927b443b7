"""[source.simulate]: the simulated scene.

Its keys are those of `selfstorm.simulation.scene.Scene`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, model_validator

from daemon.config_base import Section, nearest_key
from daemon.sources.section import SourceSection
from selfstorm.errors import InputError

if TYPE_CHECKING:
    from selfstorm.simulation.scene import Scene


class SceneSection(Section):
    """The scene's parameters, each checked by the scene itself."""

    model_config = ConfigDict(extra="allow")

    def scene(self) -> Scene:
        """Make the scene.

        Raises:
            InputError: the scene has no such key, or a value is out of range.
        """
        from selfstorm.simulation.scene import Scene  # takes scipy

        given = self.__pydantic_extra__ or {}
        # A pair is a list in TOML and JSON.
        keys: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        known = list(Scene.__dataclass_fields__)
        if unknown := next((name for name in keys if name not in known), ""):
            raise InputError(
                f"unknown key '{unknown}'", where="[source.simulate]", hint=nearest_key(unknown, known)
            ) from None
        return Scene(**keys)

    @model_validator(mode="after")
    def _valid_scene(self) -> Self:
        try:
            self.scene()
        except InputError as error:
            raise ValueError(error) from None  # reported with the other mistakes of a configuration
        return self


def scene_of(section: SourceSection) -> Scene:
    """Make the scene of a simulated source.

    Without a table it is the default one.
    """
    return (section.options(SceneSection) or SceneSection()).scene()
