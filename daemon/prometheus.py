"""The account as Prometheus metrics, on a loopback port, for those who have dashboards."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.health import Health
from selfstorm.errors import InputError

LOOPBACK = "127.0.0.1"


class Metrics(Collector):
    """What a scrape gets: every counter and latency of the status."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """One consistent snapshot."""
        status = self._health.status()
        frames = CounterMetricFamily("selfstorm_frames", "Frames by what became of them.", labels=["fate"])
        for fate, count in status.frames.model_dump().items():
            frames.add_metric([fate], count)
        windows = CounterMetricFamily("selfstorm_windows", "Windows by what became of them.", labels=["fate"])
        for fate, count in status.windows.model_dump().items():
            windows.add_metric([fate], count)
        latency = GaugeMetricFamily(
            "selfstorm_latency_seconds",
            "Over the last windows; from a window's last frame.",
            labels=["stage", "quantile"],
        )
        for stage in status.latencies:
            for quantile, value_ms in (("0.5", stage.p50_ms), ("0.95", stage.p95_ms), ("0.99", stage.p99_ms)):
                latency.add_metric([stage.stage, quantile], value_ms / 1000)
        yield from (frames, windows, latency)
        yield CounterMetricFamily("selfstorm_results_dropped", "Pictures nobody took.", value=status.results_dropped)
        yield CounterMetricFamily("selfstorm_source_restarts", "Of the camera process.", value=status.source_restarts)
        yield CounterMetricFamily("selfstorm_recorded_frames", "Frames on disk.", value=status.recorded_frames)
        yield GaugeMetricFamily("selfstorm_rate_hertz", "Frames a second.", value=status.rate_hz)
        yield GaugeMetricFamily("selfstorm_up_seconds", "Since the daemon started.", value=status.uptime_s)


class MetricsServer:
    """Answers http://127.0.0.1:PORT/metrics from a thread of its own."""

    def __init__(self, port: int, health: Health) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Metrics(health))
        try:
            self._server, self._thread = start_http_server(port, LOOPBACK, registry)
        except OSError as error:
            raise InputError(
                f"cannot listen there ({error.strerror})",
                where=f"{LOOPBACK}:{port}",
                hint="set another metrics_port under [server]",
            ) from None

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
