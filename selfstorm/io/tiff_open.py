"""Opening of TIFF files: whatever tifffile finds wrong is one MovieError."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

from selfstorm.errors import InputError, MovieError, first_line
from selfstorm.io.regular_file import check_regular

COPY_AGAIN = "copy it again from where it came from"
MAX_REASON = 200  # characters


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF. Raises MovieError with the reason where it cannot be."""
    if not path.exists():
        raise MovieError("no such file", where=path, hint="check the path")
    if path.is_dir():
        raise MovieError("is a folder", where=path, hint="give the TIFF file in it")
    check_regular(path, "give a TIFF file")
    with as_movie_error(path):
        file = tifffile.TiffFile(path)
        try:
            file.pages.first  # noqa: B018  (reads the first directory)
        except BaseException:
            file.close()
            raise
    return file


@contextmanager
def as_movie_error(path: Path) -> Iterator[None]:
    """Raise whatever tifffile raises in the block as a MovieError.

    What it logs meanwhile is not shown.
    """
    logger, silence = tifffile.logger(), _Silence()
    logger.addFilter(silence)
    try:
        yield
    except InputError:
        raise
    except tifffile.TiffFileError as error:
        raise MovieError(f"is not a readable TIFF ({error})", where=path, hint="give a TIFF or OME-TIFF") from None
    except PermissionError:
        raise MovieError("may not be read", where=path, hint="check its permissions") from None
    except Exception as error:  # a broken file meets whatever tifffile's parser, or the decoder, raises
        why = f"{type(error).__name__}: {first_line(error)[:MAX_REASON]}"
        if _unsupported(error):
            raise MovieError(
                f"is stored in a way that cannot be read ({why})", where=path, hint="save it as plain TIFF"
            ) from None
        raise MovieError(f"is damaged or truncated ({why})", where=path, hint=COPY_AGAIN) from None
    finally:
        logger.removeFilter(silence)


def _unsupported(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or any(
        word in text for word in ("not supported", "requires the 'imagecodecs'", "not implemented", "cannot decompress")
    )


class _Silence(logging.Filter):
    """A filter that passes nothing; one for each block, because blocks nest."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False
