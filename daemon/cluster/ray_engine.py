"""Ray as the engine of a cluster: one detached, named actor a daemon.

Ray sends classes and arguments by pickle: connect to clusters of your own alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from daemon.cluster.config import ClusterConfig, PlacedDaemon
from daemon.cluster.watched_daemon import Report, WatchedDaemon
from selfstorm.errors import InputError, first_line

NAMESPACE = "selfstorm"
ANSWER_S, STOP_S = 10.0, 30.0
NO_MACHINE = "waiting for a machine with enough free GPUs and cores"


class Cluster:
    """The daemons of a configuration on a cluster.

    Args:
        ray: the library, connected.
        config: of the cluster.
    """

    def __init__(self, ray: Any, config: ClusterConfig) -> None:
        self._ray, self._config = ray, config

    def start(self) -> None:
        """Start those daemons that do not run yet."""
        for one in self._config.daemon:
            actor = self._ray.remote(_Actor).options(
                name=one.name,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                num_gpus=one.gpus,
                num_cpus=one.cpus,
                max_restarts=-1,
            )
            actor.remote(str(one.config))

    def reports(self) -> Iterator[tuple[str, Report | str]]:
        """Iterate over all daemons: name, and report or why there is none."""
        for one in self._config.daemon:
            yield one.name, self._report(one)

    def stop(self) -> None:
        """Stop all daemons of the configuration."""
        for one in self._config.daemon:
            actor = self._actor(one)
            if actor is None:
                continue
            with suppress(self._ray.exceptions.RayError):  # it hangs, or its machine is lost
                self._ray.get(actor.stop.remote(), timeout=STOP_S)
            self._ray.kill(actor)

    def _report(self, one: PlacedDaemon) -> Report | str:
        actor = self._actor(one)
        if actor is None:
            return "not started"
        try:
            report: Report = self._ray.get(actor.report.remote(), timeout=ANSWER_S)
        except self._ray.exceptions.GetTimeoutError:
            return NO_MACHINE
        except self._ray.exceptions.RayError as error:
            return f"its machine is lost; it is started on another one ({type(error).__name__})"
        return report

    def _actor(self, one: PlacedDaemon) -> Any:
        try:
            return self._ray.get_actor(one.name, namespace=NAMESPACE)
        except ValueError:
            return None


class _Actor:
    """The actor: a daemon on the machine that Ray chose."""

    def __init__(self, config: str) -> None:
        ray = import_module("ray")
        self._daemon = WatchedDaemon(config, ray.util.get_node_ip_address())

    def report(self) -> Report:
        return self._daemon.report()

    def stop(self) -> None:
        self._daemon.stop()


@contextmanager
def connected(config: ClusterConfig) -> Iterator[Cluster]:
    """Connect to the cluster of a configuration.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    try:
        ray = import_module("ray")
    except ImportError:
        raise InputError("needs ray", where="cluster", hint='pip install "selfstorm[cluster]"') from None
    try:
        ray.init(address=config.address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster answers ({first_line(error)})",
            where=f"address = '{config.address}'",
            hint="start one: 'ray start --head' on one machine, 'ray start --address=HOST:6379' on the others",
        ) from None
    try:
        yield Cluster(ray, config)
    finally:
        ray.shutdown()
