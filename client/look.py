"""How the window looks: dark, so that the pictures are the brightest thing in it; and a font in any case."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtGui, QtWidgets

# Told apart by lightness as well as by hue, and never without their word.
LEVEL_COLOURS = {"good": "#7fd1ae", "warning": "#f2c14e", "bad": "#ff7b6b"}
FALLBACK_FONT = Path(__file__).with_name("fallback_font.ttf")
FONT_POINTS = 10

ROLES = {
    "Window": "#16191e",
    "WindowText": "#e4e8ee",
    "Base": "#111418",
    "AlternateBase": "#1b1f26",
    "Text": "#e4e8ee",
    "PlaceholderText": "#aab2bd",
    "Button": "#262c35",
    "ButtonText": "#e4e8ee",
    "ToolTipBase": "#262c35",
    "ToolTipText": "#e4e8ee",
    "Highlight": "#2f6f9f",
    "HighlightedText": "#ffffff",
}
STYLE = """
QToolBar { border: 0; padding: 4px 6px; }
QPushButton, QToolButton { background: #262c35; padding: 3px 10px; }
QPushButton, QToolButton { border: 1px solid #3a424d; border-radius: 3px; }
QPushButton:checked { background: #2f6f9f; border-color: #5aa0d4; }
QLabel#title, QLabel#heading, QLabel#connection, QLabel#banner { font-weight: bold; }
QLabel#heading, QLabel#endpoint, QLabel#message { color: #aab2bd; }
QLabel#notes { color: #f2c14e; }
QLabel#message { padding: 24px; }
QLabel#banner { background: #f2c14e; color: #101216; padding: 8px; }
QLabel#connection { color: #101216; border-radius: 3px; padding: 3px 10px; }
"""


def dress(application: QtWidgets.QApplication) -> None:
    """Give the application its style, and a font where the machine has none."""
    application.setStyle("Fusion")
    palette = QtGui.QPalette()
    for role, colour in ROLES.items():
        palette.setColor(QtGui.QPalette.ColorRole[role], QtGui.QColor(colour))
    application.setPalette(palette)
    _ensure_font(application)
    application.setStyleSheet(STYLE)


def _ensure_font(application: QtWidgets.QApplication) -> None:
    """A machine without any fonts (a container, a bare server) would draw every letter as an empty box."""
    if QtGui.QFontMetrics(application.font()).inFontUcs4(ord("A")):
        return
    added = QtGui.QFontDatabase.addApplicationFont(str(FALLBACK_FONT))
    families = QtGui.QFontDatabase.applicationFontFamilies(added)
    if families:
        application.setFont(QtGui.QFont(families[0], FONT_POINTS))
