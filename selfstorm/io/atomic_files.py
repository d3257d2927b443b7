"""Output files that replace nothing and are named when complete.

An output grows as NAME.part and becomes NAME at the end. A file that exists is replaced only where `overwrite` says
so, an input or another output never. NAME.part of a run that was killed is kept: the next run grows NAME.2.part.
"""

from __future__ import annotations

import os
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, combinations, count
from pathlib import Path
from types import TracebackType
from typing import Self

from selfstorm.errors import InputError
from selfstorm.io.regular_file import check_regular
from selfstorm.io.zarr_folder import check_replaceable

PART, ZARR = ".part", ".zarr"
REPLACE_S = 1.0
SHOWN_CHARACTERS = 100  # of a name that is too long
DOUBLE_ENDINGS = (".manifest.ndjson", ".start.safetensors")
# The endings of movies and pictures, the longest first: what stands before one is the name of the recording.
MOVIES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".zarr", ".nd2", ".czi", ".lif", ".raw", ".dax", ".spe", ".h5")
TABLES = (".csv", ".hdf5", ".smlm")
SUFFIXES = tuple(f"{first}{last}" for first in (".ome", "") for last in (*MOVIES, *TABLES))


def stem(path: Path) -> str:
    """Strip the ending alone from a name.

    cell_0.5uM.ome.tif becomes cell_0.5uM; a folder 2026.11.27_a stays.
    """
    name = path.name or path.resolve().name
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)] or name


def make_folder(folder: Path, hint: str) -> None:
    """Create a folder and its parents. Raises InputError with that hint."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made a folder ({error.strerror})", where=folder, hint=hint) from None


def check_file(path: Path) -> None:
    """Raise InputError where no file of that name can be.

    Its folder is missing, it is a folder itself, or the name is too long.
    """
    _check_name(path)
    if not path.parent.is_dir():
        raise InputError("no such folder", where=path.parent, hint="create it first")
    if path.is_dir():
        raise InputError("is a folder", where=path, hint="name a file in it")


def _check_name(path: Path) -> None:
    """Raise InputError where no file can have the name, or the temporary one."""
    if not path.name:
        raise InputError("is a folder", where=path, hint="name a file in it")
    try:
        temporary_path(path).lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        shown = f"{str(path)[:SHOWN_CHARACTERS]}..."
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"no file can have this name ({why})", where=shown, hint="choose another one") from None


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
    """Refuse outputs that would destroy data, before any work is done.

    Args:
        outputs: each output by the option that names it; None where it is not asked for.
        inputs: files that are read, and folders whose whole content is.
        overwrite: whether an output that exists may be replaced. Inputs never are.

    Raises:
        InputError: an output is an input (also through a link, or by another spelling), lies in an input's folder,
            is another output, exists, or cannot be a file.
    """
    given = {name: path for name, path in outputs.items() if path is not None}
    read = list(inputs)
    for name, path in given.items():
        folder = path.suffix.lower() == ZARR and path.is_dir()
        if not folder:
            check_file(path)
        if (source := next((one for one in read if same_file(path, one) or _lies_in(path, one)), None)) is not None:
            raise InputError(f"{path} would replace the input {source}", where=name, hint="name another file")
        check_new(path, overwrite=overwrite)
        if folder:
            check_replaceable(path)
    for (first, one), (second, other) in combinations(given.items(), 2):
        if same_file(one, other) or same_file(temporary_path(one), other) or same_file(one, temporary_path(other)):
            raise InputError(f"{first} and {second} both name {other}", hint="name two different files")


def check_new(path: Path, *, overwrite: bool = False) -> None:
    """Raise InputError where the name exists and may not be replaced.

    A device or a pipe never is: an administrator's program would replace /dev/null for all.
    """
    _check_name(path)
    check_regular(path, "name a file")
    if os.path.lexists(path) and not overwrite:
        raise InputError("exists already", where=path, hint="choose another name, or replace it with --overwrite")


def same_file(one: Path, other: Path) -> bool:
    """Compare two paths as the strictest file system would.

    Through links, without case, however spelled.
    """
    with suppress(OSError):
        if one.samefile(other):
            return True
    return _key(one) == _key(other)


def _key(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path.resolve())).casefold()


def _lies_in(path: Path, folder: Path) -> bool:
    return folder.is_dir() and any(same_file(parent, folder) for parent in path.resolve().parents)


def temporary_path(path: Path) -> Path:
    """Name a file's temporary form, which it has until it is complete."""
    return path.with_name(path.name + PART)


def free_path(path: Path, beside: Callable[[Path], Iterable[Path]] = lambda path: ()) -> Path:
    """Return the path itself where it is free.

    Else the first free one of NAME-2, NAME-3, ...
    A name is free if neither it, nor its temporary form, nor a file that is written `beside` it exists.
    """
    ending = next((one for one in DOUBLE_ENDINGS if path.name.endswith(one)), path.name.removeprefix(stem(path)))
    ending = ending or path.suffix
    name = path.name.removesuffix(ending)
    for candidate in chain([path], (path.with_name(f"{name}-{n}{ending}") for n in count(2))):
        if not any(map(os.path.lexists, (candidate, temporary_path(candidate), *beside(candidate)))):
            return candidate
    raise AssertionError  # pragma: no cover - there are always more numbers


def replace_file(new: Path, old: Path) -> None:
    """Rename `new` to `old`, which may exist.

    On Windows a file that a virus scanner or a viewer holds open cannot be replaced: that is tried again for a second.

    Raises:
        OSError: the file system refuses.
    """
    deadline_s = time.monotonic() + REPLACE_S
    while True:
        try:
            return _replace(new, old)
        except PermissionError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(REPLACE_S / 20)


def _replace(new: Path, old: Path) -> None:
    new.replace(old)


def claim_temporary(path: Path) -> Path:
    """Create an empty NAME.part that no other run has.

    It is NAME.2.part and so on where a killed run left one.

    Raises:
        InputError: no file can be created there.
    """
    check_file(path)
    for part in chain([temporary_path(path)], (path.with_name(f"{path.name}.{n}{PART}") for n in count(2))):
        try:
            part.open("xb").close()
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(path, error) from None
        return part
    raise AssertionError  # pragma: no cover - there are always more numbers


def publish(part: Path, path: Path, *, overwrite: bool = False) -> None:
    """Give a complete file its name.

    Without overwrite the name must be new, against every other process too; a rename alone would replace what
    appeared in between.

    Raises:
        InputError: the name is taken, or the disk refuses; the complete file then stays as part.
    """
    try:
        if overwrite:
            replace_file(part, path)
        else:
            _give_new_name(part, path)
    except FileExistsError:
        raise InputError(
            "exists already and is not replaced", where=path, hint=f"the new file is kept as {part.name}: rename it"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _give_new_name(part: Path, path: Path) -> None:
    """Rename a file to a name that must not exist."""
    try:
        os.link(part, path)  # complete at once, also where this process is killed
    except FileExistsError:
        raise
    except OSError:  # the file system has no links: the name is claimed by an empty file
        path.open("xb").close()
        try:
            replace_file(part, path)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    else:
        with suppress(OSError):  # open in a virus scanner, on Windows: a second name is left
            part.unlink()


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary name to write to.

    The file gets its own when the block ends, and none after an exception.

    Raises:
        InputError: the file cannot be written, or exists and may not be replaced.
    """
    check_new(path, overwrite=overwrite)
    part = claim_temporary(path)
    try:
        yield part
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise
    publish(part, path, overwrite=overwrite)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot be written ({error.strerror})", where=path, hint="choose another place")


class GrowingFile(ABC):
    """A file with a temporary name while it grows.

    As a context manager: an exception in the block abandons it.

    Attributes:
        part: its name until it is complete.
    """

    part: Path

    @abstractmethod
    def close(self) -> None:
        """Complete the file and give it its name."""

    @abstractmethod
    def abandon(self) -> None:
        """Stop writing; the file never gets its name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
