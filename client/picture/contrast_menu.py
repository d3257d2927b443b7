"""Menu of contrast options: histogram, percentiles, gamma, inversion.

These are needed less often than the controls above the picture.
"""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from client.picture.contrast import Contrast
from client.picture.histogram import Histogram, clipping_text
from client.picture.histogram_view import HistogramView
from client.widgets.labels import named_label

LIMITS = {"low_percent": (0.0, 49.0), "high_percent": (51.0, 100.0), "gamma": (0.2, 3.0)}
LABELS = {"low_percent": "Lower percentile", "high_percent": "Upper percentile", "gamma": "Gamma"}
STEP = 0.1


class ContrastMenu(QtWidgets.QMenu):
    """Menu with the histogram.

    It emits `changed` with the new values, by their names in Contrast.
    """

    changed = QtCore.Signal(dict)

    def __init__(self, contrast: Contrast) -> None:
        super().__init__()
        self.boxes = {name: _box(name) for name in LIMITS}
        self.invert = QtWidgets.QCheckBox("Invert colours")
        form = QtWidgets.QWidget()
        rows = QtWidgets.QFormLayout(form)
        self.histogram = HistogramView()
        rows.addRow(self.histogram)
        self.clipping = named_label("caption")
        rows.addRow(self.clipping)
        for name, box in self.boxes.items():
            rows.addRow(LABELS[name], box)
            box.valueChanged.connect(lambda value, name=name: self.changed.emit({name: value}))
        rows.addRow(self.invert)
        self.invert.toggled.connect(lambda on: self.changed.emit({"invert": on}))
        action = QtWidgets.QWidgetAction(self)
        action.setDefaultWidget(form)
        self.addAction(action)
        self.show_contrast(contrast)

    def show_histogram(self, histogram: Histogram | None, levels: tuple[float, float]) -> None:
        """Show the histogram of the picture and how much of it is clipped."""
        self.histogram.show_histogram(histogram, levels)
        self.clipping.setText("" if histogram is None else clipping_text(histogram))

    def show_contrast(self, contrast: Contrast) -> None:
        """Show the values of a contrast."""
        for name, box in self.boxes.items():
            with QtCore.QSignalBlocker(box):
                box.setValue(getattr(contrast, name))
        with QtCore.QSignalBlocker(self.invert):
            self.invert.setChecked(contrast.invert)


def _box(name: str) -> QtWidgets.QDoubleSpinBox:
    box = QtWidgets.QDoubleSpinBox(decimals=2, singleStep=STEP)
    box.setRange(*LIMITS[name])
    if name != "gamma":
        box.setSuffix(" %")
    return box
