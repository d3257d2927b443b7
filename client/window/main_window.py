"""Main window: trust strip, pictures, side panels, time.

It shows a ViewerState and keeps none.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from client.controls.menu import show_daemon
from client.controls.recording_text import recording_text
from client.export.drag_export import DragGrip
from client.picture.accumulated import RESOLUTION
from client.picture.accumulated_panel import AccumulatedPanel
from client.picture.crosshair import Crosshair, describe_point
from client.picture.field import field_of
from client.picture.linked_views import LinkedViews
from client.picture.panel import PicturePanel
from client.picture.picture_facts import PictureFacts
from client.picture.pictures import PicturePair
from client.picture.profile_panel import ProfilePanel
from client.picture.region import CameraRegion
from client.picture.region_panel import RegionPanel
from client.picture.time_code import last_windows
from client.state import ViewerState
from client.timeline.playhead import position
from client.timeline.time_bar import TimeBar
from client.trust.event_list import EventList
from client.trust.focus_dock import FocusDock
from client.trust.freshness import past_text, stale_reason
from client.trust.indicators import indicators, sentence
from client.trust.sentences import empty_text
from client.trust.strip import TrustStrip
from client.trust.trend_panel import TrendPanel
from client.widgets.labels import ElidedLabel
from client.widgets.theme import apply_theme, theme
from client.window.action_table import disabled_reason, draw_icons, enable_actions, make_actions, make_tool_bar
from client.window.main_view import MainView
from client.window.picture_tools import ProfileLine, RegionBox
from client.window.second_screen import SecondScreen
from client.window.title import PROGRAM, window_title
from client.window.welcome import WelcomeCard

SIZE_PX = (1280, 800)
MAIN_PX, SIDE_PX = 806, 424
RAW_PX, LONG_PX, TABS_PX = 250, 250, 200
MESSAGE_MS = 30_000
CONTEXT_MENU = (
    *(
        "copy",
        "save_view",
        "save_data",
        "",
        "whole",
        "single",
        "split",
        "overlay",
        "time",
        "error_map",
        "trust_map",
        "",
    ),
    *("profile", "region", "", "lock", "invert", "second_screen"),
)
HINT = "Hover over an image to see position and values."


class ViewerWindow(QtWidgets.QMainWindow):
    """Main window of the viewer.

    Signals: `moved` with a change of the playhead, `closed` before the window closes.

    Attributes:
        state: State shown last.
        drawn_region: Region drawn on the picture on screen, in its camera pixels.
    """

    moved = QtCore.Signal(object)
    closed = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle(PROGRAM)
        self.resize(*SIZE_PX)
        self.state: ViewerState | None = None
        self._drawn: PicturePair | None = None
        self.drawn_region: CameraRegion | None = None
        self._cursor: tuple[float, float] | None = None
        self.menu_actions = make_actions(self)
        self.grip = DragGrip()
        self.tool_bar = make_tool_bar(self.menu_actions, self.grip)
        self.addToolBar(QtCore.Qt.ToolBarArea.LeftToolBarArea, self.tool_bar)
        self.strip, self.time_bar = TrustStrip(), TimeBar()
        self.sr, self.raw = MainView(), PicturePanel("Raw mean", "grey", axes=False)
        self.accumulated = AccumulatedPanel()
        self.links = [LinkedViews(leader=self.sr.view, follower=one.view) for one in (self.raw, self.accumulated)]
        self.crosshair = Crosshair((self.sr.plot, self.raw.plot, self.accumulated.plot))
        self.profile_line, self.region_box = ProfileLine(self.sr.view), RegionBox(self.sr.view)
        self.facts, self.events, self.trends, self.focus = PictureFacts(), EventList(), TrendPanel(), FocusDock()
        self.addDockWidget(QtCore.Qt.DockWidgetArea.BottomDockWidgetArea, self.focus)
        self.profile = ProfilePanel([self.menu_actions[name] for name in ("copy_profile", "save_profile")])
        region_actions = ("send_region", "whole_field", "save_region")
        self.region = RegionPanel([self.menu_actions[name] for name in region_actions])
        self.cursor_label, self.message = ElidedLabel("dim"), ElidedLabel("dim")
        self.cursor_label.set_full_text(HINT)
        self._message_timer = QtCore.QTimer(self, singleShot=True)
        self._message_timer.timeout.connect(lambda: self.message.set_full_text(""))
        self._lay_out()
        self.welcome = WelcomeCard(self.centralWidget(), over=self.picture_area)
        self.welcome.hide()
        self.second_screen = SecondScreen(self)
        self.context_menu = QtWidgets.QMenu(self)
        for name in CONTEXT_MENU:
            self.context_menu.addAction(self.menu_actions[name]) if name else self.context_menu.addSeparator()
        self._connect()

    def _lay_out(self) -> None:
        self.tabs = QtWidgets.QTabWidget()
        pages = (self.facts, self.trends, self.profile, self.region, self.events)
        for name, page in zip(("Picture", "Trends", "Profile", "Region", "Events"), pages, strict=True):
            self.tabs.addTab(page, name)
        self.side = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical, childrenCollapsible=False)
        self.picture_area = QtWidgets.QSplitter(QtCore.Qt.Orientation.Horizontal, childrenCollapsible=False)
        for splitter, parts, sizes in (
            (self.side, (self.raw, self.accumulated, self.tabs), (RAW_PX, LONG_PX, TABS_PX)),
            (self.picture_area, (self.sr, self.side), (MAIN_PX, SIDE_PX)),
        ):
            for part in parts:
                splitter.addWidget(part)
            splitter.setHandleWidth(6)
            splitter.setSizes(sizes)
        self.picture_area.setStretchFactor(0, 1)
        self.side.setStretchFactor(2, 1)
        self.foot = QtWidgets.QWidget()
        foot = QtWidgets.QHBoxLayout(self.foot)
        foot.setContentsMargins(4, 0, 2, 0)
        self.message.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight)
        foot.addWidget(self.cursor_label, 1)
        foot.addWidget(self.message, 1)
        column = QtWidgets.QVBoxLayout()
        column.setContentsMargins(2, 2, 8, 4)
        column.setSpacing(4)
        column.addWidget(self.strip)
        column.addWidget(self.picture_area, 1)
        column.addWidget(self.time_bar)
        column.addWidget(self.foot)
        centre = QtWidgets.QWidget()
        centre.setLayout(column)
        self.setCentralWidget(centre)

    def _connect(self) -> None:
        self.time_bar.moved.connect(self.moved)
        self.raw.controls.changed.connect(lambda: self._draw_raw_below(self._drawn))
        self.sr.mode_changed.connect(self._draw_time)
        self.sr.windows_changed.connect(self._draw_time)
        self.sr.view.menu_requested.connect(self.context_menu.popup)
        self.crosshair.moved.connect(self._read)
        self.crosshair.left.connect(self._leave)
        self.profile_line.changed.connect(self._measure)
        self.profile.width_changed.connect(self._measure)
        self.region_box.changed.connect(self._measure_region)

    def show_message(self, text: str) -> None:
        """Show a short report at the bottom of the window.

        It stays until the next report, or for half a minute.
        """
        self.message.set_full_text(text)
        self._message_timer.start(MESSAGE_MS)

    def reset_view(self) -> None:
        """Show the whole field in both pictures."""
        self.sr.reset_view()

    def set_theme(self, name: str) -> None:
        """Apply the dark or light theme to the whole window."""
        application = QtWidgets.QApplication.instance()
        if not isinstance(application, QtWidgets.QApplication) or application.property("theme") == name:
            return
        apply_theme(application, name)
        draw_icons(self.menu_actions)
        pictures, trends = (self.sr, self.raw, self.accumulated), (self.trends, self.focus, self.profile)
        for part in (self.grip, self.time_bar, *pictures, self.events, *trends):
            part.restyle()

    def show_state(self, state: ViewerState, now: float) -> None:
        """Update every panel; each picture is drawn once."""
        self.state = state
        if state.shown is not self._drawn:
            self._draw(state.shown, state)
        self._draw_time()
        self._draw_accumulated(state)
        self._mark_pictures(state, now)
        shown = indicators(state, now)
        self._show_title(state)
        self.strip.show_findings(shown, *sentence(state, shown))
        self.time_bar.show_time(state, live=not stale_reason(state, now))
        self.events.show_events(state)
        unread = f" ({self.events.unread})" if self.events.unread else ""
        self.tabs.setTabText(self.tabs.indexOf(self.events), f"Events{unread}")
        self.trends.show_trend(state.trend, state.metrics)
        self.focus.show_trend(state.trend, state.metrics)
        show_daemon(self.menu_actions, state, self.drawn_region)
        self.grip.setEnabled(state.shown is not None)
        self._enable()
        # A saved movie has no raw means: their space is given to the other panels.
        self.raw.setVisible(self.menu_actions["raw"].isChecked() and not state.movie)

    def _show_title(self, state: ViewerState) -> None:
        """Name in the title what is shown and recorded.

        A recording is shown in the strip as well.
        """
        if self.windowTitle() != (title := window_title(state)):
            self.setWindowTitle(title)
        self.strip.show_recording(recording_text(state.status, state.info))

    def cancel(self) -> None:
        """Leave the second-screen mode, else remove what is drawn on the picture."""
        if self.second_screen.on:
            self.menu_actions["second_screen"].setChecked(False)
            return
        for name in ("profile", "region"):
            self.menu_actions[name].setChecked(False)

    def _available(self, state: ViewerState) -> set[str]:
        """Collect what actions may need."""
        error = state.error is not None or (state.shown is not None and state.shown.error is not None)
        trust = state.trust is not None or (state.shown is not None and state.shown.trust is not None)
        there = {
            "picture": state.shown is not None,
            "profile": state.shown is not None and self.profile_line.drawn,
            "region": self.drawn_region is not None,
            "error map": error,
            "trust map": trust,
        }
        return {name for name, available in there.items() if available}

    def _draw(self, pair: PicturePair | None, state: ViewerState) -> None:
        self._drawn = pair
        if pair is not None:
            field = field_of(pair)
            # The follower first, so that it has its picture when the leader's range reaches it.
            self.raw.show_picture(pair.raw, field)
            self.sr.show_picture(pair.sr, field)
            self.sr.show_maps(pair)
            self.sr.show_grade(pair)
            self.sr.overview.show_camera(_camera_shape(state, pair))
            self.facts.show_facts(pair.sr, state.info)
        else:
            self.raw.clear()
            self.sr.clear()
            self.sr.show_grade(None)
            self.facts.clear()
        self._draw_raw_below(pair)
        self._describe_cursor()
        self._measure()
        self._measure_region()

    def _draw_time(self, *_: object) -> None:
        """Choose the windows of the colour-coded time, where that mode is on."""
        state, pair = self.state, self._drawn
        if self.sr.mode != "time" or state is None or pair is None:
            self.sr.show_time(())
            return
        number = position(state.playhead, state.history)
        self.sr.show_time(last_windows(state.history, number, pair, self.sr.window_count.value()))

    def _draw_accumulated(self, state: ViewerState) -> None:
        rate_hz = state.status.rate_hz if state.status else 0.0
        refined = state.trend.last_refined(position(state.playhead, state.history), 1)
        window_nm = refined[-1].metrics.get(RESOLUTION) if refined else None
        there = self.accumulated.show_accumulated(state.accumulated, state.shown, rate_hz, window_nm)
        self.accumulated.setVisible(there and self.menu_actions["accumulated"].isChecked())

    def _draw_raw_below(self, pair: PicturePair | None) -> None:
        self.sr.show_raw_below(None if pair is None else pair.raw, self.raw.image)

    def _mark_pictures(self, state: ViewerState, now: float) -> None:
        """Mark the pictures as preview, past or stale."""
        past = past_text(state)
        stale = "" if past else stale_reason(state, now)
        preview = state.shown is not None and state.shown.sr.preview
        text, colour = (f"PAST {past} back", theme().past) if past else ("PREVIEW", theme().preview)
        self.sr.show_chip(text if past or preview else "", colour)
        for panel in (self.sr, self.raw, self.accumulated):
            panel.show_stale(stale)
        empty = state.shown is None and not self.welcome.isVisible()
        self.sr.show_message(empty_text(state, now) if empty else "")

    def _read(self, x: float, y: float) -> None:
        self._cursor = (x, y)
        self._describe_cursor()

    def _leave(self) -> None:
        self._cursor = None
        self._describe_cursor()

    def _describe_cursor(self) -> None:
        """Show position and values under the mouse.

        The mouse may rest while pictures change.
        """
        if self._cursor is None:
            self.cursor_label.set_full_text(HINT)
        else:
            self.cursor_label.set_full_text(describe_point(self._drawn, *self._cursor) if self._drawn else "")

    def _measure(self) -> None:
        self.profile.show_line(self._drawn, self.profile_line.ends)
        self._enable()

    def _measure_region(self) -> None:
        region = None
        if self._drawn is not None:
            scale, shape = self._drawn.sr.header.scale, self._drawn.sr.pixels.shape
            region = self.region_box.region(field_of(self._drawn), (shape[0] // scale, shape[1] // scale))
        self.drawn_region = region
        self.region.show_region(self._drawn, region)
        self._enable()
        if self.state is not None:
            show_daemon(self.menu_actions, self.state, region)

    def _enable(self) -> None:
        if self.state is not None:
            enable_actions(self.menu_actions, self._available(self.state), movie=bool(self.state.movie))

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        """Say why a map cannot be shown; its disabled shortcut comes here."""
        if reason := disabled_reason(self.menu_actions, QtGui.QKeySequence(event.keyCombination())):
            self.show_message(reason)
        super().keyPressEvent(event)

    def closeEvent(self, event: QtGui.QCloseEvent) -> None:
        """Announce the end, so that the usual layout is saved."""
        self.menu_actions["second_screen"].setChecked(False)
        self.closed.emit()
        super().closeEvent(event)


def _camera_shape(state: ViewerState, pair: PicturePair) -> tuple[int, int] | None:
    """Return (H, W) of the camera that made a picture, where it is known."""
    info = state.info
    return (info.height, info.width) if info is not None and info.stream == pair.sr.header.stream else None
