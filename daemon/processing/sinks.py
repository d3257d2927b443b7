"""Outputs of the worker, behind one protocol.

Adding one takes a class and a line in `Service`.

worker ──► mean, preview, result, learned, accumulated, failed, config_changed, model_reset, close ──► publisher
                                                                       ├─► picture file (--save)
                                                                       ├─► accumulated pictures (--accumulated)
                                                                       ├─► table of localizations (--localizations)
                                                                       ├─► manifest
                                                                       └─► checkpoint
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from daemon.config import Config
from daemon.health import Health
from daemon.processing.reconstructor import WindowResult
from daemon.protocol.messages import PictureHeader
from daemon.transport.publisher import Picture, Publisher
from selfstorm.errors import first_line
from selfstorm.frames import Array, Window
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.model_protocol import StreamModel


@dataclass(frozen=True, slots=True)
class WindowOutput:
    """One picture of a window, with everything that an output may keep of it.

    Attributes:
        window: its frames.
        made: the picture, and what it was made with.
        header: description of the picture.
        raw: mean of the camera frames; None where the window's preview had it already.
        maps: maps of the picture by kind, 'quality' and 'trust'; those that there are.
        model: the model that the next window starts from; None before the first.
        continues: whether the model goes on from the checkpoint that the run was given.
    """

    window: Window
    made: WindowResult
    header: PictureHeader
    raw: Picture | None = None
    maps: Mapping[str, Picture] = field(default_factory=dict)
    model: StreamModel | None = None
    continues: bool = False

    @property
    def picture(self) -> Array:
        """Super-resolved picture, (H * scale, W * scale) float32."""
        return self.made.result.picture


class Sink:
    """Base of all outputs: a method that is not overridden does nothing.

    A sink that cannot write any more reports that itself and ignores what follows; the stream goes on.
    """

    def start(self) -> None:
        """Begin, before the first window."""

    def mean(self, picture: Picture) -> None:
        """Take the mean of the frames of a field's first window, which takes long."""

    def preview(self, output: WindowOutput) -> None:
        """Take the fast density picture of a window."""

    def result(self, output: WindowOutput) -> None:
        """Take the final picture of a window."""

    def learned(self, output: WindowOutput, sums: Accumulation | None) -> None:
        """Take the model that has learned from a window, and the scene's sums.

        It comes after the window's picture, which waits for nothing that is not in it.
        """

    def accumulated(self, picture: Picture) -> None:
        """Take the picture of all frames of a scene, at most once a second."""

    def failed(self, window: Window, error: str) -> None:
        """Note that a window could not be reconstructed."""

    def config_changed(self, config: Config) -> None:
        """Note the configuration of the next window."""

    def model_reset(self) -> None:
        """Note that the next window starts a new model."""

    def close(self) -> None:
        """Write what is left, and close all files."""


class PublisherSink(Sink):
    """Sends pictures to the viewers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def mean(self, picture: Picture) -> None:
        """Send the mean of the camera's frames in place of a preview."""
        self._publisher.pictures("sr.preview", picture, picture)

    def preview(self, output: WindowOutput) -> None:
        """Send the preview of a window."""
        self._publish("sr.preview", output)

    def result(self, output: WindowOutput) -> None:
        """Send the refined picture of a window."""
        self._publish("sr.refined", output)

    def accumulated(self, picture: Picture) -> None:
        """Send the accumulated picture."""
        self._publisher.accumulated(picture)

    def _publish(self, kind: str, output: WindowOutput) -> None:
        self._publisher.pictures(kind, (output.header, output.picture), output.raw, output.maps)


class Sinks(Sink):
    """All outputs as one.

    An output that raises is removed, with an event: it must not end the stream.
    """

    def __init__(self, sinks: Iterable[Sink], health: Health) -> None:
        self._sinks, self._health = list(sinks), health

    def start(self) -> None:
        """Start all outputs."""
        self._each("start")

    def mean(self, picture: Picture) -> None:
        """Hand the mean of a first window to all outputs."""
        self._each("mean", picture)

    def preview(self, output: WindowOutput) -> None:
        """Hand a preview to all outputs."""
        self._each("preview", output)

    def result(self, output: WindowOutput) -> None:
        """Hand a refined picture to all outputs."""
        self._each("result", output)

    def learned(self, output: WindowOutput, sums: Accumulation | None) -> None:
        """Hand a model and its sums to all outputs."""
        self._each("learned", output, sums)

    def accumulated(self, picture: Picture) -> None:
        """Hand an accumulated picture to all outputs."""
        self._each("accumulated", picture)

    def failed(self, window: Window, error: str) -> None:
        """Report a failed window to all outputs."""
        self._each("failed", window, error)

    def config_changed(self, config: Config) -> None:
        """Report a changed configuration to all outputs."""
        self._each("config_changed", config)

    def model_reset(self) -> None:
        """Report a new model to all outputs."""
        self._each("model_reset")

    def close(self) -> None:
        """Close all outputs."""
        self._each("close")

    def _each(self, step: str, *arguments: object) -> None:
        for sink in list(self._sinks):
            try:
                getattr(sink, step)(*arguments)
            except Exception as error:  # a full disk is reported by the sink itself: this is a fault of the program
                self._sinks.remove(sink)
                what = f"{type(sink).__name__}.{step}: {type(error).__name__}: {first_line(error)}"
                self._health.event("error", "output_stopped", f"{what}; the stream goes on without this output")
