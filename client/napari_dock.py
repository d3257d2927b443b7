"""Dock for napari that follows a running daemon.

Its pictures become layers, and its verdict on them is shown. napari finds it by `napari.yaml`, under Plugins >
Self-STORM live.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from qtpy import QtCore, QtWidgets

from client.subscriber import ConnectionRefused, Subscriber
from daemon.protocol.address import DEFAULT, USAGE, VARIABLE, DaemonAddress
from daemon.protocol.codec import Received
from daemon.protocol.findings import metric_findings, quality, run_findings
from daemon.protocol.messages import MetricDescriptions, PictureHeader, Status
from daemon.transport.client_socket import load_key
from selfstorm.errors import InputError
from selfstorm.metrics.metric_table import MetricTable
from selfstorm.metrics.registry import METRICS

POLL_MS = 100
NM_PER_UM = 1000.0
# Kinds of pictures, each the name and colours of its layer; a refined picture replaces its preview.
LAYERS = {
    "raw.mean": ("camera mean", "gray"),
    "sr.preview": ("super-resolved", "inferno"),
    "sr.refined": ("super-resolved", "inferno"),
}
SILENT_S = 3.0


class FollowDaemon(QtWidgets.QWidget):  # type: ignore[misc]
    """Dock with a daemon's address and its verdict on the picture.

    Args:
        napari_viewer: napari's viewer, which gets the layers; napari gives it by this name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._subscriber: Subscriber | None = None
        self._heard_s = 0.0
        self._metrics: MetricTable[Any] = METRICS
        self.address = QtWidgets.QLineEdit(os.environ.get(VARIABLE, DEFAULT))
        self.address.setPlaceholderText(USAGE)
        self.key = QtWidgets.QLineEdit()
        self.key.setPlaceholderText("NAME.key, for a daemon on another machine")
        self.button = QtWidgets.QPushButton("Follow")
        self.button.clicked.connect(self.toggle)
        self.verdict = QtWidgets.QLabel("Not connected.")
        self.verdict.setWordWrap(True)
        rows = QtWidgets.QFormLayout(self)
        for name, widget in (("Daemon", self.address), ("Key file", self.key)):
            rows.addRow(name, widget)
        rows.addRow(self.button)
        rows.addRow(self.verdict)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.take)

    def toggle(self) -> None:
        """Begin to follow the daemon, or stop following."""
        if self._subscriber is not None:
            self.stop()
            return
        key = self.key.text().strip()
        try:
            target = DaemonAddress.of(self.address.text())
            subscriber = Subscriber(target.results, time.monotonic, load_key(Path(key).expanduser()) if key else None)
        except InputError as error:
            self.verdict.setText(str(error))
            return
        self._subscriber, self._heard_s = subscriber, time.monotonic()
        subscriber.start()
        self._timer.start(POLL_MS)
        self.button.setText("Stop")
        self.verdict.setText(f"Connecting to {target} …")

    def stop(self) -> None:
        """Stop following; the layers stay."""
        self._timer.stop()
        if self._subscriber is not None:
            self._subscriber.stop()
            self._subscriber = None
        self.button.setText("Follow")
        self.verdict.setText("Not connected; the pictures shown are no longer live.")

    def take(self) -> None:
        """Show what arrived since the last call."""
        if self._subscriber is None:
            return
        for arrival in self._subscriber.drain().arrivals:
            self._heard_s = arrival.at_s
            match arrival.content:
                case str() as why:
                    self.verdict.setText(why)
                case ConnectionRefused(why):
                    self.verdict.setText(why)
                case Received() as received:
                    self._show(received)
        if time.monotonic() - self._heard_s > SILENT_S:
            self.verdict.setText(f"No message from {self.address.text()}; the pictures shown are no longer live.")

    def _show(self, received: Received) -> None:
        message = received.message
        if isinstance(message, MetricDescriptions):
            self._metrics = MetricTable(message.metrics)
        elif isinstance(message, Status):
            self.verdict.setText(self._judge(message))
        elif isinstance(message, PictureHeader) and received.kind in LAYERS:
            self._show_picture(received.kind, message, received.pixels)

    def _judge(self, status: Status) -> str:
        found = (*run_findings(status), quality(status), *metric_findings(self._metrics, status))
        serious = [f"{one.name}: {one.explanation}" for one in found if one.serious]
        quality_line = f"{status.state}, quality {status.grade}"
        return "\n".join([quality_line, *(serious or ["No problem found."])])

    def _show_picture(self, kind: str, header: PictureHeader, pixels: Any) -> None:
        name, colours = LAYERS[kind]
        side = header.pixel_nm / NM_PER_UM if header.pixel_nm else 1 / header.scale  # um, or camera pixels
        where = {"scale": (side, side), "translate": (side / 2, side / 2)}  # all fields share a corner
        metadata = header.model_dump(mode="json")
        if name in self._viewer.layers:
            layer = self._viewer.layers[name]
            layer.data, layer.metadata, layer.scale, layer.translate = pixels, metadata, *where.values()
            return
        self._viewer.add_image(pixels, name=name, metadata=metadata, colormap=colours, **where)
        self._viewer.scale_bar.visible = True

    def closeEvent(self, event: Any) -> None:
        """Stop following."""
        self.stop()
        super().closeEvent(event)
