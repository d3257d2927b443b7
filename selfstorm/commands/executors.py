"""Executors of `selfstorm batch`: this machine, Ray or Dask.

An executor calls one function for many tasks, several at a time, and yields each task with its result, or with the
error that kept it from having one. Where a worker of a cluster is killed, its cluster starts the task again elsewhere.

Ray and Dask send functions and tasks by pickle: connect to clusters of your own alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from selfstorm.errors import InputError, first_line

Task = TypeVar("Task")
Result = TypeVar("Result")
Outcomes = Iterator[tuple[Task, Result | Exception]]

CONNECT_S = 30
RETRIES = 3  # of a task whose worker was killed


def run_tasks(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int, on: str = ""
) -> Outcomes[Task, Result]:
    """Call a function for every task.

    Args:
        work: the function, of a module that the workers of a cluster have, too.
        tasks: its arguments.
        workers: tasks at a time on this machine; a cluster decides that itself.
        on: `ray://HOST:PORT` or `dask://HOST:PORT`; empty for this machine.

    Yields:
        Each task with its result or error, in the order in which they end.

    Raises:
        InputError: the cluster is not there, or its library is not.
    """
    scheme, colon, address = on.partition("://")
    if not on:
        return _on_threads(work, tasks, workers)
    if scheme not in CLUSTERS or not colon or not address:
        raise InputError(f"'{on}' is no cluster", where="--on", hint="give ray://HOST:PORT or dask://HOST:PORT")
    return CLUSTERS[scheme](work, tasks, address)


def _on_threads(work: Callable[[Task], Result], tasks: Sequence[Task], workers: int) -> Outcomes[Task, Result]:
    """Call the function in threads, which wait for processes that it starts."""
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(work, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future.result)
        finally:
            for future in futures:
                future.cancel()


def _on_ray(work: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Outcomes[Task, Result]:
    ray = _library("ray", "cluster")
    try:
        client = ray.init(address=f"ray://{address}", log_to_driver=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _unreachable("ray", address, error) from None
    with client:
        remote = ray.remote(max_retries=RETRIES)(_portable(work))
        running = {remote.remote(task): task for task in tasks}
        while running:
            (ended, *_), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(ended), _outcome(partial(ray.get, ended))


def _on_dask(work: Callable[[Task], Result], tasks: Sequence[Task], address: str) -> Outcomes[Task, Result]:
    distributed = _library("distributed", "dask")
    try:
        client = distributed.Client(f"tcp://{address}", timeout=CONNECT_S)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable("dask", address, error) from None
    with client:
        running = {client.submit(work, task, pure=False): task for task in tasks}
        for future in distributed.as_completed(running):
            yield running[future], _outcome(future.result)


CLUSTERS: dict[str, Callable[[Any, Any, str], Iterator[Any]]] = {"ray": _on_ray, "dask": _on_dask}


def _portable(work: Callable[[Task], Result]) -> Callable[[Task], Result]:
    """Wrap any callable as the plain function that Ray asks for."""

    def task(argument: Task) -> Result:
        return work(argument)

    return task


def _outcome(result: Callable[[], Result]) -> Result | Exception:
    try:
        return result()
    except Exception as error:  # of the task or of the cluster: the other tasks go on
        return error


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise InputError(f"needs {name}", where="--on", hint=f'pip install "selfstorm[{extra}]"') from None


def _unreachable(scheme: str, address: str, error: Exception) -> InputError:
    why = first_line(error) or type(error).__name__
    return InputError(
        f"no cluster answers ({why})", where=f"{scheme}://{address}", hint="start it, or check the address"
    )
