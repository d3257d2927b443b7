"""Check a commit message: `area: imperative`, at most 72 characters.

A blank line separates the subject from the body.

python tools/check_commit_message.py FILE    as git's commit-msg hook calls it
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MAX_SUBJECT = 72
SUBJECT = re.compile(r"(?:[\w./-]+(?:, [\w./-]+)*: [a-z]\S*|Merge|Revert)( .*)?")


def faults(message: str) -> list[str]:
    """List what is wrong with a commit message, comment lines left out."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    found = []
    if not SUBJECT.fullmatch(subject):
        found.append(f"the subject {subject!r} does not read 'area: imperative', such as 'io: keep part files'")
    if len(subject) > MAX_SUBJECT:
        found.append(f"the subject has {len(subject)} characters, at most {MAX_SUBJECT} fit")
    if len(lines) > 1 and lines[1].strip():
        found.append("the second line is not blank")
    return found


def main() -> int:
    """Print the faults of the message in the given file; 1 if there are any."""
    found = faults(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for fault in found:
        print(f"commit message: {fault}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
