"""Jobs of `selfstorm batch`.

Each recording has a process of its own, and a manifest beside its output when it is done. A process that is killed is
started again; one whose batch is killed ends, so that the next run of the batch is alone with its files.
"""

from __future__ import annotations

import csv
import html
import io
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from selfstorm.commands.executors import run_tasks
from selfstorm.errors import InputError, first_line
from selfstorm.io.atomic_files import atomic_write, make_folder, stem
from selfstorm.io.find_movies import find_movies
from selfstorm.io.ome_tiff import read_records

CODE = "from selfstorm.parent_process import end_with_parent; end_with_parent(); from selfstorm.cli import main; main()"
PROGRAM = (sys.executable, "-c", CODE)  # it ends with a batch that is killed
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # they decide the last bits of a sum
ATTEMPTS = 3  # of a recording whose process was killed
NTSTATUS_ERROR = 0xC0000000  # exit codes from here on are errors of Windows, such as an access violation
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


@dataclass(frozen=True, slots=True)
class Call:
    """Surroundings of a batch.

    Its jobs have them on every machine, so that their results are the same bit for bit.

    Attributes:
        options: of `selfstorm reconstruct`.
        folder: the current one, which paths in the options are relative to.
        software: version.
        threads: environment variables that set the number of threads.
    """

    options: tuple[str, ...]
    folder: str
    software: str
    threads: Mapping[str, str]

    @classmethod
    def here(cls, options: Sequence[str]) -> Call:
        """Describe this process."""
        threads = {name: os.environ[name] for name in THREADS if name in os.environ}
        return cls(tuple(options), str(Path.cwd()), _software(), threads)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a job: that of its worker, threads aside."""
        return {**{k: v for k, v in os.environ.items() if k not in THREADS}, **self.threads}


def run_jobs(jobs: Sequence[Job], options: Sequence[str], workers: int, on: str = "") -> Iterator[JobResult]:
    """Run the jobs that are not done; yield each result as it comes.

    A failed one does not stop the others. `on` and `workers` are those of `run_tasks`.
    """
    for job, result in run_tasks(partial(run_job, call=Call.here(options)), jobs, workers, on):
        if isinstance(result, Exception):
            result = _failed(job, f"{type(result).__name__}: {first_line(result)}")
        yield result


def run_job(job: Job, call: Call) -> JobResult:
    """Reconstruct one recording in a process of its own, unless it is done."""
    try:
        if _software() != call.software:
            return _failed(job, f"{platform.node()} has {_software()}, the batch {call.software}")
        make_folder(job.pictures.parent, "choose another -o")
        if (done := _done(job, call.options)) is not None:
            return done
        code, said = _reconstruct(job, call)
        if code and (done := _done(job, call.options)) is not None:  # by a worker that was taken for dead
            return done
        return _failed(job, said) if code else _finish(job, call.options, "done")
    except InputError as error:
        return _failed(job, str(error))


def _reconstruct(job: Job, call: Call) -> tuple[int, str]:
    """Run the command, again where it is killed.

    Returns:
        Its exit code, and the last line of its errors.
    """
    line = [*PROGRAM, "reconstruct", str(job.movie), "-o", str(job.pictures), *call.options]
    for _ in range(ATTEMPTS):
        with subprocess.Popen(
            line,
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=call.folder,
            env=call.environment,
        ) as process:
            said = process.stderr.read().strip() if process.stderr is not None else ""
        if not _was_killed(process.returncode):
            break
    return process.returncode, (said or "killed").splitlines()[-1][:MAX_REASON]


def _was_killed(code: int) -> bool:
    """Return whether the system ended a process.

    A fault of its own would only come again.
    """
    return code < 0 or code >= NTSTATUS_ERROR


def _failed(job: Job, why: str) -> JobResult:
    return JobResult(job, f"failed: {why[:MAX_REASON]}", failed=True)


def _software() -> str:
    return f"selfstorm {version('selfstorm')}"


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
        "software": _software(),
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
