"""What can go wrong for a user, and how it is said.

SelfStormError
└── InputError        something given to us cannot be used: a file, a flag, a configuration key, an address
    └── MovieError    a movie that cannot be read as (T, H, W)
"""

LONGEST = 1000  # characters of a fault: a damaged file is quoted, but not all of it


def first_line(error: object) -> str:
    """What an error of somebody else's says, in its first line; what it is where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class SelfStormError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(SelfStormError):
    """Something the user gave cannot be used.

    what: the fault in one clause. where: the file, flag or key. mend: what to do about it.
    """

    def __init__(self, what: str, *, where: object = "", hint: str = "") -> None:
        what = what if len(what) <= LONGEST else f"{what[:LONGEST]}..."
        self.what, self.where, self.hint = what, str(where).rstrip(":"), hint
        super().__init__("; ".join(part for part in (f"{self.where}: {what}" if self.where else what, hint) if part))


class MovieError(InputError):
    """A file cannot be read as a movie of camera frames."""
