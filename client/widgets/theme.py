"""Dark and light themes: colours, style sheet, and a fallback font."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from PySide6 import QtGui, QtWidgets

FALLBACK_FONT = Path(__file__).with_name("fallback_font.ttf")
FONT_POINTS = 10


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours by purpose.

    good, warning and bad always come with a shape and a word.
    """

    window: str
    base: str
    raised: str
    picture: str
    line: str
    text: str
    dim: str
    accent: str
    on_accent: str
    good: str
    warning: str
    bad: str
    preview: str
    past: str
    on_chip: str

    def level(self, level: str) -> str:
        """Return the colour of a level; 'none' is dim."""
        return {"good": self.good, "warning": self.warning, "bad": self.bad}.get(level, self.dim)


THEMES = {
    "dark": Theme(
        window="#16191e",
        base="#111418",
        raised="#262c35",
        picture="#1d2127",  # not black: the edge of the field shows
        line="#363e49",
        text="#e4e8ee",
        dim="#9aa4b1",
        accent="#2f6f9f",
        on_accent="#ffffff",
        good="#7fd1ae",
        warning="#f2c14e",
        bad="#ff7b6b",
        preview="#6cc5f0",
        past="#c3a6ff",
        on_chip="#101216",
    ),
    "light": Theme(
        window="#eceef1",
        base="#ffffff",
        raised="#fafbfc",
        picture="#d5d9de",
        line="#b9c0c9",
        text="#1b2027",
        dim="#59636f",
        accent="#2f6f9f",
        on_accent="#ffffff",
        good="#1b7f56",
        warning="#9a6400",
        bad="#bf2c1d",
        preview="#0d6e9c",
        past="#6a3fc0",
        on_chip="#ffffff",
    ),
}
STYLE = Template("""
QMenuBar { background: $window; } QMenuBar::item { padding: 4px 10px; background: transparent; }
QMenuBar::item:selected, QMenu::item:selected { background: $accent; color: $on_accent; }
QMenu { background: $raised; border: 1px solid $line; padding: 4px; }
QMenu::item { padding: 4px 24px 4px 22px; } QMenu::item:disabled { color: $dim; }
QMenu::separator { height: 1px; background: $line; margin: 4px 6px; }
QToolBar { border: 0; padding: 2px; spacing: 2px; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QPushButton, QToolButton { background: $raised; border: 1px solid $line; border-radius: 3px; padding: 3px 8px; }
QPushButton:hover, QToolButton:hover { border-color: $dim; }
QPushButton:checked, QToolButton:checked { background: $accent; border-color: $accent; color: $on_accent; }
QPushButton:disabled, QToolButton:disabled { color: $dim; }
QToolBar QToolButton, QToolButton#flat { background: transparent; border: 1px solid transparent; padding: 4px; }
QToolBar QToolButton:hover, QToolButton#flat:hover { background: $raised; }
QToolBar QToolButton:checked, QToolButton#flat:checked { background: $accent; }
QToolButton::menu-indicator { image: none; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QComboBox { background: $raised; border: 1px solid $line; border-radius: 3px; padding: 2px 6px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $line; selection-background-color: $accent; }
QDoubleSpinBox, QLineEdit { background: $base; border: 1px solid $line; border-radius: 3px; padding: 2px 3px; }
QTabWidget::pane { border: 1px solid $line; border-radius: 3px; background: $base; top: -1px; }
QTabBar::tab { padding: 4px 9px; color: $dim; border: 0; border-bottom: 2px solid transparent; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QListWidget, QScrollArea, QScrollArea > QWidget > QWidget { border: 0; background: $base; }
QListWidget::item { padding: 2px 4px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $line; }
QFrame#card { background: $raised; border: 1px solid $line; border-radius: 6px; }
QFrame#indicator { background: $base; border: 1px solid $line; border-radius: 4px; }
QLabel#title, QLabel#heading, QLabel#value, QLabel#banner, QLabel#chip { font-weight: bold; }
QLabel#heading, QLabel#message, QLabel#caption, QLabel#dim { color: $dim; }
QLabel#caption { font-size: 8pt; }
QLabel#large { font-size: 26pt; font-weight: bold; }
QLabel#recording { color: $bad; font-weight: bold; padding: 0 10px; }
QLabel#notes { color: $warning; }
QLabel#message { padding: 24px; }
QLabel#banner { background: $warning; color: $on_chip; padding: 6px; }
QLabel#chip { color: $on_chip; border-radius: 3px; padding: 1px 7px; }
""")


def apply_theme(application: QtWidgets.QApplication, name: str = "dark") -> None:
    """Apply a theme by its name, and a font where the machine has none."""
    colours = THEMES[name]
    application.setProperty("theme", name)
    application.setStyle("Fusion")
    application.setPalette(_palette(colours))
    _ensure_font(application)
    application.setStyleSheet(STYLE.substitute(asdict(colours)))


def theme() -> Theme:
    """Return the current theme; dark before any is applied."""
    application = QtWidgets.QApplication.instance()
    return THEMES[(application.property("theme") if application else None) or "dark"]


def _palette(colours: Theme) -> QtGui.QPalette:
    roles = {
        "Window": colours.window,
        "WindowText": colours.text,
        "Base": colours.base,
        "AlternateBase": colours.raised,
        "Text": colours.text,
        "PlaceholderText": colours.dim,
        "Button": colours.raised,
        "ButtonText": colours.text,
        "ToolTipBase": colours.raised,
        "ToolTipText": colours.text,
        "Highlight": colours.accent,
        "HighlightedText": colours.on_accent,
    }
    palette = QtGui.QPalette()
    for role, colour in roles.items():
        palette.setColor(QtGui.QPalette.ColorRole[role], QtGui.QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, QtGui.QPalette.ColorRole[role], QtGui.QColor(colours.dim))
    return palette


def _ensure_font(application: QtWidgets.QApplication) -> None:
    """Load the fallback font on a machine without fonts.

    Every letter would otherwise be an empty box.
    """
    if QtGui.QFontMetrics(application.font()).inFontUcs4(ord("A")):
        return
    added = QtGui.QFontDatabase.addApplicationFont(str(FALLBACK_FONT))
    families = QtGui.QFontDatabase.applicationFontFamilies(added)
    if families:
        application.setFont(QtGui.QFont(families[0], FONT_POINTS))
