"""Panel of the accumulated picture."""

from __future__ import annotations

from client.picture.accumulated import AccumulatedPicture
from client.picture.badge import Badge
from client.picture.field import field_of
from client.picture.panel import PicturePanel
from client.picture.pictures import Picture, PicturePair
from client.widgets.theme import THEMES

ON_PICTURE = THEMES["dark"]  # the badge has a dark ground in both themes


class AccumulatedPanel(PicturePanel):
    """Panel of all frames of a scene in one picture.

    A badge on the picture says how fine it is, and after how long; its tool tip, how that improved.
    """

    def __init__(self) -> None:
        super().__init__("Accumulated", "fire", axes=False)
        self.controls.unit.hide()  # that of the super-resolved picture; the title needs its place
        self.badge = Badge(self.view)
        self._described: tuple[Picture | None, str] | None = None
        self.hide()

    def show_accumulated(
        self, shown: AccumulatedPicture, pair: PicturePair | None, rate_hz: float, window_nm: float | None
    ) -> bool:
        """Show the picture where it is of the field of a window.

        Args:
            shown: the newest one.
            pair: pictures of the window.
            rate_hz: frames per second; 0 where it is not known.
            window_nm: resolution of the window; None where it is not known.

        Returns:
            Whether there is anything to show.
        """
        if pair is None or not shown.covers(pair):
            self.clear()
            return False
        coarser = shown.coarser_reason(window_nm)
        if (described := (shown.picture, coarser)) != self._described or self.picture is None:
            self._described = described
            self.show_picture(shown.picture, field_of(pair))
            colour = ON_PICTURE.level("warning" if coarser else "good")
            tip = "\n".join(filter(None, (coarser, shown.explanation)))
            self.badge.show_text(shown.text(rate_hz), colour, tip, self.field)
        return True
