"""Files of a reconstruction.

Pictures, localizations and error maps, written window by window.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from selfstorm.commands.drift_file import DriftFile
from selfstorm.commands.linked_table import LinkedTable
from selfstorm.io.atomic_files import check_outputs, stem
from selfstorm.io.localization_table import (
    LocalizationTable,
    TableInfo,
    TableWriter,
    check_format,
    side_files,
    table_writer,
)
from selfstorm.io.picture_file import PictureFile
from selfstorm.io.picture_formats import check_picture_format, picture_writer
from selfstorm.metrics.verdict import verdict

if TYPE_CHECKING:
    from selfstorm.reconstruction import Reconstruction
    from selfstorm.stream.accumulation import Accumulation

PICTURE_UNIT = "photons/frame"

# Options of `selfstorm reconstruct` that name an output, and their fields of OutputPaths.
OUTPUT_OPTIONS = {
    "-o": "pictures",
    "--localizations": "localizations",
    "--error-map": "error_map",
    "--trust-map": "trust_map",
    "--accumulated": "accumulated",
    "--drift": "drift",
    "--save-model": "model",
}

RECORDED = (str, int, float, tuple, Mapping)  # arrays, tables and models are not in the record of a picture


@dataclass(frozen=True, slots=True)
class OutputPaths:
    """Paths of the outputs of `selfstorm reconstruct`.

    None for those that are not written.
    """

    pictures: Path
    localizations: Path | None = None
    error_map: Path | None = None
    trust_map: Path | None = None
    accumulated: Path | None = None
    drift: Path | None = None
    model: Path | None = None
    overwrite: bool = False

    def check(self, inputs: list[Path]) -> None:
        """Raise InputError where an output would destroy data.

        The same for a table of an unknown format.
        """
        outputs = {option: getattr(self, field) for option, field in OUTPUT_OPTIONS.items()}
        if self.localizations is not None:
            outputs |= {f"--localizations ({side.name})": side for side in side_files(self.localizations)}
        check_outputs(outputs, inputs, overwrite=self.overwrite)
        for name in ("-o", "--error-map", "--trust-map", "--accumulated"):
            path = outputs[name]
            if path is not None:
                check_picture_format(path, name)
        if self.localizations is not None:
            check_format(self.localizations)


def default_output(movie: Path) -> Path:
    """Name the pictures of a movie: beside it, without its ending."""
    folder = movie.parent if movie.name not in ("", "..") else movie.resolve().parent
    return folder / f"{stem(movie)}_sr.ome.tif"


def provenance(movie: Path) -> dict[str, Any]:
    """Describe how the outputs are made: software, command and movie."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"software": f"selfstorm {version('selfstorm')}", "command": command, "movie": str(movie)}


class ReconstructionFiles:
    """The open outputs of a reconstruction.

    As a context manager, an exception abandons them.

    Args:
        paths: paths of the files to write.
        info: the movie.
        scale: SR cells along a camera pixel.
        max_dark: frames that an emitter of the table may be dark and count once; None to count every localization.

    Attributes:
        scenes: What the accumulated pictures are of, in words; complete once the files are closed.
    """

    def __init__(self, paths: OutputPaths, info: TableInfo, scale: int, max_dark: int | None = None) -> None:
        self._paths, self._info, self._scale = paths, info, scale
        self._max_dark = max_dark
        self._linked: LinkedTable | None = None
        self._open = ExitStack()
        self._table: TableWriter | None = None
        self._errors: PictureFile | None = None
        self._trust: PictureFile | None = None
        self._drift = None if paths.drift is None else DriftFile(paths.drift, overwrite=paths.overwrite)
        self._tabled_frames, self.trust_maps = 0, 0
        self._accumulation: Accumulation | None = None
        self._scenes: PictureFile | None = None
        self.scenes: list[str] = []

    def __enter__(self) -> Self:
        paths, overwrite = self._paths, self._paths.overwrite
        with ExitStack() as opened:
            pixel_nm = self._info.pixel_nm
            self._pictures = opened.enter_context(
                picture_writer(paths.pictures, pixel_nm / self._scale, overwrite=overwrite)
            )
            if paths.localizations is not None:
                info = replace(self._info, linked=self._max_dark is not None)
                self._table = opened.enter_context(table_writer(paths.localizations, info, overwrite=overwrite))
                if self._max_dark is not None:
                    self._linked = LinkedTable(self._table, self._max_dark)
            if paths.error_map is not None:
                self._errors = opened.enter_context(picture_writer(paths.error_map, pixel_nm, overwrite=overwrite))
            if paths.trust_map is not None:
                self._trust = opened.enter_context(picture_writer(paths.trust_map, pixel_nm, overwrite=overwrite))
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._accumulation is not None:
                self._write_scene(self._accumulation)
            if kind is None and self._linked is not None:
                self._linked.write()
        except BaseException:
            self._open.__exit__(*sys.exc_info())
            raise
        self._open.__exit__(kind, error, trace)

    @property
    def rows(self) -> int:
        """Localizations written so far."""
        return self._table.rows if self._table else 0

    def add(self, first: int, last: int, result: Reconstruction) -> None:
        """Write what was made of the frames first to last."""
        facts = {"first_frame": first, "last_frame": last, "grade": "full"}  # never reduced: nothing waits for it
        values = {field.name: getattr(result, field.name) for field in fields(result)}
        record = {name: value for name, value in values.items() if isinstance(value, RECORDED)}
        judged = verdict(result.metrics)
        record |= {"verdict": f"{judged.value}. {judged.explanation}"} if judged else {}
        record |= {"fine_tuning": str(result.fit or ""), **self._info.facts}
        self._pictures.add(result.picture, facts | record)
        if self._errors is not None and result.error_map is not None:
            self._errors.add(result.error_map, facts | {"unit": "photons", **self._info.facts})
        if self._trust is not None and result.trust_map is not None:
            self._trust.add(result.trust_map, facts | {"unit": "0..1", **self._info.facts})
            self.trust_maps += 1
        now, before = result.accumulation, self._accumulation
        if now is not None:
            if before is not None and before.scene != now.scene:
                self._write_scene(before)
            self._accumulation = now
        if result.localizations is not None and result.psf is not None:
            new = result.localizations.where(result.localizations.frame >= self._tabled_frames)
            if (table := self._linked or self._table) is not None:
                table.append(LocalizationTable.of(new, result.psf))
            if self._drift is not None:
                self._drift.add(new)
            self._tabled_frames = last + 1

    def _write_scene(self, accumulation: Accumulation) -> None:
        """Append the accumulated picture of a scene that has ended."""
        path = self._paths.accumulated
        picture = None if path is None else accumulation.picture()
        if path is None or picture is None:
            return
        if self._scenes is None:
            writer = picture_writer(path, self._info.pixel_nm / self._scale, overwrite=self._paths.overwrite)
            self._scenes = self._open.enter_context(writer)
        resolution = accumulation.resolution_nm()
        facts = {"frames": accumulation.frames, "resolution_nm": resolution, "drift_nm": accumulation.drift_nm}
        self._scenes.add(picture, facts | {"unit": PICTURE_UNIT, **self._info.facts})
        claimed = "" if resolution is None else f", {resolution:.0f} nm"
        self.scenes.append(f"{accumulation.frames} frames{claimed}")

    def write_drift(self) -> int:
        """Write the drift of the recording; returns the rows."""
        return self._drift.write() if self._drift else 0
