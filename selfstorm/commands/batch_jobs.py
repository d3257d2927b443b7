"""Jobs of `selfstorm batch`.

Each recording has a process of its own, and a manifest beside its output when it is done.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from selfstorm.errors import InputError
from selfstorm.io.atomic_files import atomic_write, make_folder, stem
from selfstorm.io.find_movies import find_movies
from selfstorm.io.ome_tiff import read_records

PROGRAM = (sys.executable, "-c", "from selfstorm.cli import main; main()")
ATTEMPTS = 3  # of a recording whose process was killed
MAX_REASON = 400  # characters
TABLE = "selfstorm_batch"
MARK = "recording"  # the first word of a table that this module wrote


@dataclass(frozen=True, slots=True)
class Job:
    """One recording, and where its pictures and its manifest go."""

    movie: Path
    pictures: Path

    @property
    def manifest(self) -> Path:
        """The file that says that the pictures are done, and with which options."""
        return self.pictures.with_name(self.pictures.name.removesuffix(".ome.tif") + ".json")


@dataclass(frozen=True, slots=True)
class JobResult:
    """The end of a job: done, was done before, or the reason why it failed."""

    job: Job
    state: str
    failed: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)


def find_jobs(folder: Path, output: Path) -> list[Job]:
    """List the recordings of a folder.

    Outputs mirror its subfolders, and no two share a name.
    """
    inside = output.resolve()
    movies = [movie for movie in find_movies(folder) if inside not in movie.resolve().parents]
    names = Counter((movie.parent, stem(movie).casefold()) for movie in movies)
    jobs = []
    for movie in movies:
        unique = names[(movie.parent, stem(movie).casefold())] == 1
        name = f"{stem(movie) if unique else movie.name}_sr.ome.tif"
        beside = movie.parent if movie != folder else folder
        jobs.append(Job(movie, output / beside.relative_to(folder) / name))
    return jobs


def run_jobs(jobs: Sequence[Job], options: Sequence[str], workers: int) -> Iterator[JobResult]:
    """Run the jobs that are not done; yield each result as it comes.

    A failed one does not stop the others.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_run, job, tuple(options)) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _run(job: Job, options: tuple[str, ...]) -> JobResult:
    """Reconstruct one recording in a process of its own, unless it is done."""
    try:
        make_folder(job.pictures.parent, "choose another -o")
        if (done := _done(job, options)) is not None:
            return done
        line = [*PROGRAM, "reconstruct", str(job.movie), "-o", str(job.pictures), *options]
        for _ in range(ATTEMPTS):
            ended = subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ.copy())
            if ended.returncode >= 0:  # it ended by itself; below zero it was killed
                break
        if ended.returncode:
            lines = (ended.stderr.strip() or "killed").splitlines()
            return JobResult(job, f"failed: {lines[-1][:MAX_REASON]}", failed=True)
        return _finish(job, options, "done")
    except InputError as error:
        return JobResult(job, f"failed: {error}", failed=True)


def _done(job: Job, options: tuple[str, ...]) -> JobResult | None:
    """Return the result of a job that an earlier run finished.

    None where there is none.
    """
    if not job.pictures.exists():
        return None
    if not job.manifest.exists():  # it was stopped between the pictures, which are complete, and the manifest
        records = read_records(job.pictures)
        if not records or records[-1].get("movie") != str(job.movie):
            raise InputError("exists already", where=job.pictures, hint="choose another -o, or move it away")
        return _finish(job, options, "done before")
    try:
        facts = json.loads(job.manifest.read_text(encoding="utf-8"))
        same, metrics = tuple(facts["options"]) == options, dict(facts["metrics"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("is no manifest of selfstorm batch", where=job.manifest, hint="move it away") from None
    if not same:
        raise InputError(
            f"was made with other options ({' '.join(facts['options'])})", where=job.pictures, hint="choose another -o"
        )
    return JobResult(job, "done before", metrics=metrics)


def _finish(job: Job, options: tuple[str, ...], state: str) -> JobResult:
    records = read_records(job.pictures)
    last = records[-1] if records else {}
    stated = last.get("metrics") or {}
    metrics = {"pictures": len(records), **{k: v for k, v in stated.items() if isinstance(v, int | float)}}
    facts = {
        "movie": str(job.movie),
        "pictures": job.pictures.name,
        "options": list(options),
        "software": f"selfstorm {version('selfstorm')}",
        "metrics": metrics,
    }
    with atomic_write(job.manifest) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return JobResult(job, state, metrics=metrics)


def write_tables(output: Path, results: Sequence[JobResult]) -> Path:
    """Write the results as CSV and HTML, over those of an earlier run.

    Returns the HTML file.
    """
    names = list(dict.fromkeys(name for result in results for name in result.metrics))
    header = [MARK, "state", *names]
    rows = [[str(r.job.movie), r.state, *(_cell(r.metrics.get(name)) for name in names)] for r in results]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    _write(output / f"{TABLE}.csv", text.getvalue(), MARK)
    _write(output / f"{TABLE}.html", _page(header, rows), PAGE_HEAD)
    return output / f"{TABLE}.html"


PAGE_HEAD = '<!doctype html><meta charset="utf-8"><title>selfstorm batch</title>'


def _page(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    style = "<style>body{font:14px sans-serif}td,th{padding:2px 10px;text-align:left}</style>"
    body = "\n".join([line(header, "th"), *(line(row, "td") for row in rows)])
    return f"{PAGE_HEAD}{style}\n<table>\n{body}\n</table>\n"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str, mark: str) -> None:
    """Write a table; replace one of an earlier run, and no other file."""
    ours = path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(mark)
    with atomic_write(path, overwrite=ours) as part:
        part.write_text(text, encoding="utf-8")
