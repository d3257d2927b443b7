"""The strip of indicators: readable whole on every screen."""

import pytest
from PySide6 import QtCore, QtWidgets

from client.trust.indicators import Indicators
from client.trust.strip import TrustStrip
from client.widgets.theme import apply_theme
from selfstorm.metrics.finding import Finding
from selfstorm.metrics.registry import METRICS

MARGINS_PX = 70  # tool bar and edges of the window, beside the strip
PICTURE = {"Verdict": "too few blinks", "Quality": "REDUCED", "Window": "123456", "Model": "scene changed"}
RUN = {"Daemon": "disconnected", "Camera": "1234.5 /s", **dict.fromkeys(("Missing", "Rejected", "Skipped"), "123456")}
LONG = "Two of five windows have no picture: the computer cannot keep up with the camera. " * 4


def every_finding():
    """All that may be shown, with wide values."""
    metrics = {of: [one for one in METRICS if one.indicator and one.of == of] for of in ("picture", "delivery")}
    groups = [(PICTURE, metrics["picture"]), (RUN, metrics["delivery"])]
    shown = [[*words.items(), *((one.label, one.text(123.4)) for one in measured)] for words, measured in groups]
    return Indicators(*(tuple(Finding(name, value, "warning") for name, value in group) for group in shown))


class Window(QtWidgets.QWidget):
    """A strip with a picture below it."""

    def __init__(self):
        super().__init__()
        self.strip, self.picture = TrustStrip(), QtWidgets.QLabel()
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.strip)
        column.addWidget(self.picture, 1)

    def show_findings(self, indicators, text):
        self.strip.show_findings(indicators, "warning", text)
        QtWidgets.QApplication.processEvents()
        return self.strip


@pytest.fixture
def window(qtbot):
    one = Window()
    qtbot.addWidget(one)
    one.show()
    return one


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("screen_px", [1280, 1920])
def test_every_indicator_is_readable_whole(window, screen_px, theme):
    apply_theme(QtWidgets.QApplication.instance(), theme)
    window.resize(screen_px - MARGINS_PX, 800)
    strip = window.show_findings(every_finding(), LONG)
    edge = strip.contentsRect()
    for name, cell in strip.cells.items():
        assert edge.contains(cell.geometry()), name
        assert not [
            two for two in strip.cells.values() if two is not cell and two.geometry().intersects(cell.geometry())
        ]
        for label in cell.findChildren(QtWidgets.QLabel):
            assert label.sizeHint().width() <= label.width(), (name, label.text())
    assert strip.line.text() == LONG
    assert strip.line.height() >= strip.line.heightForWidth(strip.line.width())


def test_those_of_the_picture_come_first_and_the_acquisition_starts_a_row(window):
    window.resize(1280 - MARGINS_PX, 800)
    strip = window.show_findings(every_finding(), "")
    names = list(strip.cells)
    assert names[:2] == ["Verdict", "Quality"]
    assert strip.cells["Daemon"].x() == 0
    assert len({cell.y() for cell in strip.cells.values()}) == 2


def test_cells_and_picture_stay_when_a_warning_has_gone(window):
    window.resize(600, 800)
    cells = window.show_findings(every_finding(), LONG).cells
    picture, places = window.picture.geometry(), {name: cell.geometry() for name, cell in cells.items()}
    short = Indicators(*(tuple(Finding(one.name, "0", "good") for one in group) for group in groups(every_finding())))
    window.show_findings(short, "All is well.")
    assert window.picture.geometry() == picture
    assert {name: cell.geometry() for name, cell in cells.items()} == places


def test_cells_that_are_no_longer_shown_are_gone_at_once(window):
    strip = window.show_findings(every_finding(), "")
    before = strip.cells.values()
    window.show_findings(Indicators((), (Finding("File", "movie.tif", "good"),)), "")
    assert not [cell for cell in before if cell.isVisible()]
    assert list(strip.cells) == ["File"]


def test_a_tip_that_is_being_read_follows_its_indicator(window):
    def judged(window_number):
        finding = Finding("Verdict", "good", "good", f"Of window {window_number}.")
        return window.show_findings(Indicators((finding,), ()), "").cells["Verdict"]

    cell = judged(8)
    cell.setAttribute(QtCore.Qt.WidgetAttribute.WA_UnderMouse)
    QtWidgets.QToolTip.showText(cell.mapToGlobal(cell.rect().center()), cell.toolTip(), cell)
    judged(9)
    assert QtWidgets.QToolTip.text() == "Verdict, good. Of window 9."


def groups(indicators):
    return indicators.picture, indicators.acquisition
