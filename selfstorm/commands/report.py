"""`selfstorm report`: what a run's files say, for a supplement."""

from __future__ import annotations

from pathlib import Path

import click

from selfstorm.commands.output_options import overwrite_option
from selfstorm.io.atomic_files import atomic_write, check_outputs, stem
from selfstorm.report.manifest_file import SUFFIX


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.html", help="[default: RUN_report.html]")
@click.option("--pdf", is_flag=True, help="Also as PDF, beside the page; needs the extra 'report'.")
@overwrite_option
def report(run: Path, output: Path | None, pdf: bool, overwrite: bool) -> None:
    """Write a report of RUN as one HTML file.

    RUN: the manifest of a live run, pictures that selfstorm wrote, or a folder with one of them. Localizations, camera
    frames and pictures are taken from where the run saved them, or from beside RUN.
    """
    from selfstorm.report.html_page import html_page
    from selfstorm.report.run_files import read_run
    from selfstorm.report.sections import report_of

    page = output or _default_output(run)
    pages = page.with_suffix(".pdf") if pdf else None
    outputs = {"-o": page, "--pdf": pages}
    check_outputs(outputs, [run] if run.is_file() else [], overwrite=overwrite)
    evidence = read_run(run)
    check_outputs(outputs, evidence.files, overwrite=overwrite)
    document = report_of(evidence)
    if pages is not None:
        from selfstorm.report.pdf_pages import write_pdf

        with atomic_write(pages, overwrite=overwrite) as part:
            write_pdf(document, part)
    with atomic_write(page, overwrite=overwrite) as part:
        part.write_text(html_page(document), encoding="utf-8")
    for written in (page, pages):
        if written is not None:
            click.echo(f"wrote {written}")


def _default_output(run: Path) -> Path:
    """Name the report of a run, beside it."""
    named = run.resolve()
    return named.parent / f"{stem(Path(named.name.removesuffix(SUFFIX)))}_report.html"
