"""Errors for users: a fact, the place, and a hint.

SelfStormError
├── InputError               an input cannot be used: a file, an option, a configuration key, an address
│   ├── MovieError           a movie cannot be read as (T, H, W)
│   ├── DriveHangsError      a drive does not answer in time                    (daemon.drive_work)
│   └── SeveralInputErrors   several mistakes at once
├── IndexFaultError          bytes that are no entry of an NDTiff index         (selfstorm.io.ndtiff_index)
│   └── UnsupportedImageError    an entry whose image is no camera frame
├── TooFewFramesError        too few valid frames in a window                   (selfstorm.stream.window)
├── TilesLostError           the process that computes some tiles is lost       (selfstorm.stream.tiled.field)
├── MalformedMessageError    bytes that are no message of the protocol          (daemon.protocol.codec)
├── RefusedRequestError      a request that cannot be carried out               (daemon.protocol.verbs)
├── RefusedError             a well-formed frame message that cannot be true    (daemon.ingest.stream)
├── CameraError              the camera failed and may work again later         (daemon.sources.camera)
├── UnusableFieldError       images that no picture can be made of              (daemon.sources.field)
└── ImagesChangedError       the camera changed since an image was taken       (daemon.sources.image_buffer)
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_CHARACTERS = 1000  # of a fault, which may quote a damaged file


def first_line(error: object) -> str:
    """Return the first line of an error message, or the error's type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class SelfStormError(Exception):
    """Base of the errors that this package raises on purpose."""


class InputError(SelfStormError):
    """An input cannot be used.

    Args:
        what: the fault in one clause.
        where: the file, option or key.
        hint: how to fix it.
    """

    def __init__(self, what: str, *, where: object = "", hint: str = "") -> None:
        what = what if len(what) <= MAX_CHARACTERS else f"{what[:MAX_CHARACTERS]}..."
        self.what, self.where, self.hint = what, str(where).rstrip(":"), hint
        super().__init__("; ".join(part for part in (f"{self.where}: {what}" if self.where else what, hint) if part))

    @property
    def each(self) -> tuple[InputError, ...]:
        """The mistakes that it reports: itself, or several."""
        return (self,)


class SeveralInputErrors(InputError):
    """Several mistakes of one input, found at once.

    Args:
        errors: two or more.
    """

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self._each = tuple(errors)

    @property
    def each(self) -> tuple[InputError, ...]:
        """All of them."""
        return self._each


def together(errors: Sequence[InputError]) -> InputError:
    """Report one or more mistakes as one error."""
    return errors[0] if len(errors) == 1 else SeveralInputErrors(errors)


class MovieError(InputError):
    """A file cannot be read as a movie of camera frames."""
