"""Pictures on disk (--save): an OME-TIFF that grows window by window."""

from __future__ import annotations

from daemon.processing.sinks import WindowOutput
from daemon.recording.picture_stack import PictureStack


class PictureWriter(PictureStack):
    """Writer of the picture of each window."""

    name, content = "saving", "pictures"

    def result(self, output: WindowOutput) -> None:
        """Append the picture with its header."""
        self._append(output.header, output.picture)
