"""[source]: the source of the frames, and the options of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails

from daemon.config_base import Section
from daemon.protocol.faults import first_fault
from daemon.sources.kinds import KINDS, SourceKind, options_model, resolve, scheme_of
from selfstorm.errors import InputError

Options = TypeVar("Options", bound=Section)


class SourceSection(Section):
    """[source]: the source of the frames.

    Tables below it are the options of a kind of source, validated by the model that its kind names.

    Attributes:
        uri: kind and place of the source.
        key: file of our key, where frames come from another machine.
        rate_hz: frames per second of a simulated camera, 50 if not given, or of a replayed recording.
        frames: number of frames after which the source ends.
        below_normal_priority: leave the processor to an acquisition on this machine.
        timing: pace of a replayed recording: rate_hz, or as it was recorded, gaps included.
        speed: factor by which a recording is played faster than recorded.
        loop: play a recording again from its start, without end.
        select: position in a recording with more axes than time.
    """

    model_config = ConfigDict(extra="allow")

    uri: str = "simulate:"
    key: Path | None = None
    rate_hz: Annotated[float, Field(gt=0, le=100_000)] | None = None
    frames: Annotated[int, Field(ge=1)] | None = None
    below_normal_priority: bool = True
    timing: Literal["rate", "recorded"] = "rate"
    speed: Annotated[float, Field(gt=0, le=1000)] = 1.0
    loop: bool = False
    select: dict[str, int | str] = Field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """Scheme of the URI, which names the kind of source."""
        return scheme_of(self.uri)

    @property
    def kind(self) -> SourceKind:
        """Kind of source that the URI names."""
        return KINDS[self.scheme]

    @property
    def place(self) -> str:
        """Path, or host:port, behind the scheme; may be empty."""
        return self.uri.partition(":")[2]

    @property
    def can_wait(self) -> bool:
        """True where frames lie on a disk and have no pace.

        They wait for the daemon then, and none is lost on its way.
        """
        paced = self.kind.paced_by_options and (self.timing == "recorded" or self.rate_hz is not None)
        return self.kind.stored and not paced

    @property
    def runs_below_normal(self) -> bool:
        """True where the priority of the processes is lowered.

        It is not lowered where the images of an acquisition wait for us.
        """
        ours = "acquisition" in (self.__pydantic_extra__ or {})
        return self.kind.beside_acquisition and self.below_normal_priority and not ours

    def options(self, model: type[Options]) -> Options | None:
        """Return the table of options of a model; None where it is not given."""
        tables = (self.__pydantic_extra__ or {}).values()
        return next((table for table in tables if isinstance(table, model)), None)

    @model_validator(mode="after")
    def _validate_uri(self) -> Self:
        if self.scheme not in KINDS or ":" not in self.uri:
            raise ValueError(f"'{self.uri}' is no source: it starts with one of {', '.join(s + ':' for s in KINDS)}")
        kind = self.kind
        if kind.place_required and not self.place:
            raise ValueError(f"'{self.uri}' names no {kind.place}: write {kind.usage}")
        if self.speed != 1 and self.timing != "recorded":
            raise ValueError('speed needs timing = "recorded"; at a rate of your own, set rate_hz')
        if self.key is not None and not kind.published_elsewhere:
            elsewhere = next(other.usage for other in KINDS.values() if other.published_elsewhere)
            raise ValueError(f'key is for frames from another machine: write uri = "{elsewhere}"')
        for other in KINDS.values():
            for table in other.options:
                if table.only_here and other is not kind and table.name in (self.__pydantic_extra__ or {}):
                    raise ValueError(f"[source.{table.name}] {table.only_here}")
        if kind.check_uri:
            resolve(kind.check_uri)(self)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _validate_options(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Validate the tables of options too; report all faults."""
        if not isinstance(given, dict):
            return validate(given)
        kept, faults = {}, []
        for key, value in given.items():
            try:
                if value is not None or key in cls.model_fields:
                    kept[key] = value if key in cls.model_fields else _validated_table(key, value)
            except ValidationError as error:
                faults += _details(error)
        try:
            made = validate(kept)
        except ValidationError as error:
            faults += _details(error)
        if faults:
            raise ValidationError.from_exception_data("source", faults)
        return made


def source_of(uri: str) -> SourceSection:
    """Make the source that a URI names, with default options.

    Raises:
        InputError: the URI names no source.
    """
    try:
        return SourceSection(uri=uri)
    except ValidationError as error:
        raise InputError(first_fault(error)) from None


def _validated_table(key: str, value: Any) -> Any:
    """Validate [source.KEY] by the model of its kind.

    Its faults are located below [source] then.
    """
    dotted = options_model(key)
    if dotted is None:
        fault = InitErrorDetails(type="extra_forbidden", loc=(key,), input=value)
        raise ValidationError.from_exception_data("source", [fault])
    field: Any = (resolve(dotted), ...)
    wrapper: type[BaseModel] = create_model("Options", **{key: field})
    return getattr(wrapper.model_validate({key: value}), key)


def _details(error: ValidationError) -> list[InitErrorDetails]:
    """Return the faults of an error, to be raised again together with others."""
    faults = error.errors(include_url=False)
    return [
        InitErrorDetails(type=fault["type"], loc=fault["loc"], input=fault["input"], ctx=fault.get("ctx", {}))
        for fault in faults
    ]


def options_keys(table: str) -> list[str]:
    """Return the known keys of [source.TABLE], empty for an unknown table."""
    dotted = options_model(table)
    return [] if dotted is None else list(resolve(dotted).model_fields)


def source_keys() -> list[str]:
    """Return the known keys and tables of [source]."""
    tables = [table.name for kind in KINDS.values() for table in kind.options]
    return [*SourceSection.model_fields, *tables]
