"""Key file of a viewer or program, kept by its owner: NAME.key.

It holds a secret: whoever has the file is admitted until the name is revoked at the daemon.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from daemon.protocol.faults import first_fault
from selfstorm.errors import InputError
from selfstorm.io.regular_file import read_regular

MAX_BYTES = 2**20
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
KEY_CHARACTERS, GROUP = 40, 5
NEW_KEY_HINT = "make a new one: selfstorm-daemon keys new NAME"


def _decodes(text: str) -> str:
    """Check that each five characters decode to four bytes."""
    if len(text) != KEY_CHARACTERS or not set(text) <= set(Z85):
        raise ValueError(f"a key is {KEY_CHARACTERS} characters of Z85")
    for start in range(0, KEY_CHARACTERS, GROUP):
        number = 0
        for character in text[start : start + GROUP]:
            number = number * len(Z85) + Z85.index(character)
        if number >= 2**32:
            raise ValueError("the key does not decode")
    return text


KeyText = Annotated[str, AfterValidator(_decodes)]
KeyName = Annotated[str, Field(pattern=r"\A[A-Za-z0-9._-]{1,64}\z")]


class KeyModel(BaseModel):
    """Base of the files of keys: immutable, strict, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class KeyFile(KeyModel):
    """A named pair of keys, and the public key of the daemon that it is for."""

    format: Literal["selfstorm-key"] = "selfstorm-key"
    version: Literal[1] = 1
    name: KeyName
    public: KeyText
    secret: KeyText
    server: KeyText


Model = TypeVar("Model", bound=KeyModel)


def read_model(path: Path, kind: type[Model], hint: str) -> Model:
    """Read a file of keys. Raises InputError, which never quotes a secret."""
    try:
        text = read_regular(path, hint, MAX_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, hint=hint) from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"is damaged ({first_fault(error)})", where=path, hint=hint) from None


def load_key_file(path: Path) -> KeyFile:
    """Load a key file. Raises InputError."""
    return read_model(path, KeyFile, NEW_KEY_HINT)
