"""Exporter of counters, latencies and metrics to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.health import Health
from selfstorm.errors import InputError
from selfstorm.metrics.registry import METRICS

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS, MAX_IDLE_S = 8, 5.0


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


class _QuietHandler(WSGIRequestHandler):
    """Answers requests without a log; a connection that sends none is closed."""

    timeout = MAX_IDLE_S

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _BoundedServer(ThreadingMixIn, WSGIServer):
    """Server with a thread for each of at most MAX_CONNECTIONS connections."""

    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._free = BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*arguments)

    def verify_request(self, request: object, client_address: object) -> bool:
        """Accept a connection if a thread is free for it."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, and free its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connections that end early."""


class MetricsServer:
    """Serve http://127.0.0.1:PORT/metrics from a thread of its own."""

    def __init__(self, port: int, health: Health) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(StatusCollector(health))
        try:
            self._server = make_server(LOOPBACK, port, make_wsgi_app(registry), _BoundedServer, _QuietHandler)
        except OSError as error:
            raise InputError(
                f"cannot listen on this address ({error.strerror})",
                where=f"{LOOPBACK}:{port}",
                hint="set another metrics_port under [server]",
            ) from None
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
