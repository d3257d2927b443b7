"""Where files go: folders that are made before work begins, and files that get their name when they are whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from selfstorm.errors import InputError


def make_folder(folder: Path, hint: str) -> None:
    """Make a folder and those it is in. Raises InputError with how to mend it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made a folder ({error.strerror})", where=folder, hint=hint) from None


def check_file(path: Path) -> None:
    """Raises InputError where no file of that name can be: there is no such folder, or it is one itself."""
    if not path.parent.is_dir():
        raise InputError("no such folder", where=path.parent, hint="make it first")
    if path.is_dir():
        raise InputError("is a folder", where=path, hint="name a file in it")


def temporary_path(path: Path) -> Path:
    """What a file is called until it is whole."""
    return path.with_name(path.name + ".part")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A name to write to; the file gets its own when it is whole. Raises InputError where it cannot be written."""
    part = temporary_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=path, hint="choose another place") from None
    finally:
        part.unlink(missing_ok=True)


class GrowingFile(ABC):
    """A file of another name while it grows, for a `with` block: leaving that by an exception abandons it."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file and give it its name."""

    @abstractmethod
    def abandon(self) -> None:
        """Stop writing; it never gets its name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
