"""Lines that `selfstorm reconstruct` prints, before and once it is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from selfstorm.commands.console import print_note
from selfstorm.commands.reconstruction_files import OutputPaths, ReconstructionFiles

if TYPE_CHECKING:
    from selfstorm.reconstruction import Reconstruction

MB = 1e6


def planned(
    movie: Path,
    frames: Any,
    shape: tuple[int, int, int],
    pixel_nm: float,
    windows: int,
    length: int,
    stride: int,
    scale: int,
    paths: OutputPaths,
) -> Iterator[str]:
    """Describe in words what will be done, before it is."""
    _, height, width = shape
    lost = f", {frames.missing} lost" if frames.missing else ""
    yield f"{movie}: {len(frames.numbers)} frames of {height}x{width}{lost}, pixel {pixel_nm:g} nm"
    every = f", one every {stride}" if stride != length else ""
    yield f"{windows} window(s) of {length} frames{every}, read as they come"
    size = height * scale, width * scale
    megabytes = windows * size[0] * size[1] * 4 / MB
    yield f"{windows} picture(s) of {size[0]}x{size[1]}, pixel {pixel_nm / scale:g} nm: {megabytes:.0f} MB"
    if left_over := frames.length - ((windows - 1) * stride + length):
        yield f"the last {left_over} frames fill no window and are not used"
    yield f"output: {paths.pictures}"


def found(result: Reconstruction) -> Iterator[str]:
    """Say what the last picture was made with, and how good it is."""
    from selfstorm.metrics.registry import METRICS
    from selfstorm.metrics.verdict import verdict

    yield f"{result.optics}; {result.camera}"
    yield METRICS.line(result.metrics)
    if judged := verdict(result.metrics):
        yield f"verdict: {judged.value}. {judged.explanation}"
    if result.fit is not None:
        yield f"fine-tuning of the optics {result.fit}"


def doubts(result: Reconstruction, pixel_nm: float) -> list[str]:
    """Say where the PSF and the pixel size do not fit together."""
    from selfstorm.io.pixel_size import doubt

    said = "" if result.psf is None else doubt(result.psf.equivalent_sigma_nm, pixel_nm)
    return [said] if said else []


def tell_others(paths: OutputPaths, files: ReconstructionFiles, *, linked: bool) -> None:
    """Say which files were written beside the pictures, or why one was not."""
    if paths.localizations is not None:
        click.echo(f"wrote {files.rows} {'emitters' if linked else 'localizations'} to {paths.localizations}")
    if paths.error_map is not None:
        click.echo(f"wrote the error map to {paths.error_map}")
    if paths.trust_map is not None:
        click.echo(f"wrote {files.trust_maps} trust maps to {paths.trust_map}")
    if paths.accumulated is not None:
        for scene in files.scenes:
            click.echo(f"wrote the accumulated picture of {scene} to {paths.accumulated}")
        if not files.scenes:
            print_note("nothing was localized; no accumulated picture was written")
    if paths.drift is not None:
        if rows := files.write_drift():
            click.echo(f"wrote the drift of {rows} frames to {paths.drift}")
        else:
            print_note("too few localizations to find a drift; none was written")
