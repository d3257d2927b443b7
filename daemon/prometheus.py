"""Exporter of counters, latencies and metrics to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.health import Health
from selfstorm.errors import InputError
from selfstorm.metrics.registry import METRICS

LOOPBACK = "127.0.0.1"


class StatusCollector(Collector):
    """Counters and latencies of the status, metrics of the newest picture."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Export one consistent snapshot."""
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
        for metric, value in METRICS.known(status.metrics):
            name, unit = f"selfstorm_picture_{metric.key}", f" ({metric.unit})" if metric.unit else ""
            yield GaugeMetricFamily(name, f"Newest picture: {metric.label}{unit}. {metric.meaning}", value=value)
        yield CounterMetricFamily(
            "selfstorm_results_dropped", "Pictures dropped before they were sent.", value=status.results_dropped
        )
        yield CounterMetricFamily(
            "selfstorm_source_restarts", "Restarts of the camera process.", value=status.source_restarts
        )
        yield CounterMetricFamily("selfstorm_recorded_frames", "Frames recorded to disk.", value=status.recorded_frames)
        yield GaugeMetricFamily("selfstorm_rate_hertz", "Frames per second.", value=status.rate_hz)
        yield GaugeMetricFamily("selfstorm_up_seconds", "Seconds since the daemon started.", value=status.uptime_s)


class MetricsServer:
    """Serve http://127.0.0.1:PORT/metrics from a thread of its own."""

    def __init__(self, port: int, health: Health) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(StatusCollector(health))
        try:
            self._server, self._thread = start_http_server(port, LOOPBACK, registry)
        except OSError as error:
            raise InputError(
                f"cannot listen on this address ({error.strerror})",
                where=f"{LOOPBACK}:{port}",
                hint="set another metrics_port under [server]",
            ) from None

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
