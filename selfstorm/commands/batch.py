"""`selfstorm batch`: every recording of a folder.

Several processes, or a cluster, share the work; a stopped batch resumes.
"""

from __future__ import annotations

from pathlib import Path

import click

from selfstorm.errors import InputError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the pictures. Default: FOLDER_sr")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Recordings at a time.")
@click.option("--on", default="", metavar="ray://|dask://HOST:PORT", help="Run on a cluster, not on this machine.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def batch(
    context: click.Context, folder: Path, output: Path | None, workers: int, on: str, options: tuple[str, ...]
) -> None:
    """Reconstruct every recording in FOLDER.

    OPTIONS are those of `selfstorm reconstruct`.

    Beside every output a manifest (.json) says that it is done: run the same command again to go on after a stop, or
    for recordings that have come since. A table of all of them is written as selfstorm_batch.csv and .html. The exit
    code is 1 where a recording failed.

    The machines of a cluster must see FOLDER and the output under the same paths, with this version of selfstorm.
    """
    from selfstorm.commands.batch_jobs import find_jobs, run_jobs, write_tables
    from selfstorm.commands.reconstruction_files import OUTPUT_OPTIONS

    if not folder.is_dir():
        raise InputError("is no folder", where=folder, hint="give the folder with the recordings")
    if forbidden := {*OUTPUT_OPTIONS, "--output", "--overwrite"} & set(options):
        raise click.UsageError(f"{min(forbidden)} is for one recording; batch names the outputs.")
    folder = folder.absolute()  # as every machine sees it
    output = (output or folder.resolve().with_name(folder.resolve().name + "_sr")).absolute()
    if output.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise InputError(
            f"{output} is the folder of the recordings, or holds it",
            where="-o",
            hint=f"name another, as in {folder}_sr",
        )
    jobs = find_jobs(folder, output)
    if not jobs:
        raise InputError("holds no recording", where=folder, hint="give the folder with the recordings")
    results = []
    for result in run_jobs(jobs, options, workers, on):
        results.append(result)
        click.echo(f"{len(results)} of {len(jobs)}: {result.job.movie}: {result.state}")
    table = write_tables(output, sorted(results, key=lambda result: str(result.job.movie)))
    failed = sum(result.failed for result in results)
    click.echo(f"{len(results) - failed} of {len(results)} recordings done; table: {table}")
    context.exit(int(failed > 0))
