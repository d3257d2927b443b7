"""Configuration of a cluster: the daemons to run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from daemon.config_base import Section, nearest_key
from daemon.toml_file import read_toml
from selfstorm.errors import InputError

HERE = "auto"


class PlacedDaemon(Section):
    """A daemon of the cluster.

    Attributes:
        name: of the microscope, or whatever its frames come from.
        config: configuration of the daemon, at the same path on every machine.
        gpus: that are its own while it runs; a share where daemons share one.
        cpus: cores likewise.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    config: Path
    gpus: Annotated[float, Field(ge=0, le=64)] = 1.0
    cpus: Annotated[float, Field(gt=0, le=1024)] = 2.0


class ClusterConfig(Section):
    """The whole configuration of a cluster.

    Attributes:
        address: of the Ray cluster, HOST:PORT; 'auto' for the one that this machine is part of.
        daemon: daemons to run on it.
    """

    address: Annotated[str, Field(min_length=1)] = HERE
    daemon: Annotated[tuple[PlacedDaemon, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_names_of_their_own(self) -> Self:
        names = [one.name for one in self.daemon]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"daemon: the name '{twice[0]}' is given twice")
        return self


def load_cluster(path: Path) -> ClusterConfig:
    """Read and validate the configuration of a cluster.

    Paths in it are relative to its folder.

    Raises:
        InputError: the file cannot be read or is no valid configuration.
    """
    raw = read_toml(path, "configs/cluster.toml is one")
    try:
        config = ClusterConfig.model_validate(raw)
    except ValidationError as error:
        raise InputError(_first_of(error), where=path) from None
    folder = path.absolute().parent
    return config.model_copy(
        update={"daemon": tuple(one.model_copy(update={"config": folder / one.config}) for one in config.daemon)}
    )


def _first_of(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = PlacedDaemon if len(first["loc"]) > 1 else ClusterConfig
        return f"{where}: no such key; {nearest_key(str(first['loc'][-1]), list(known.model_fields))}"
    return f"{where}: {first['msg']}" if where else str(first["msg"]).removeprefix("Value error, ")
