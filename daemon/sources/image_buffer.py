"""Micro-Manager's image buffer, read without changing it.

All queries of the buffer are in this module.

The core gives an image with the size and type that its camera has *now*; an image of another size would be read past
its end. So the size is asked before each image, and what was read with it is compared afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from selfstorm.errors import SelfStormError
from selfstorm.frames import Array

BYTES_PER_PIXEL = {"GRAY8": 1, "GRAY16": 2, "GRAY32": 4, "RGB32": 4, "RGB64": 8}
MAX_FAULTS = 20  # one after the other, of images that should be there
EMPTY = "buffer is empty"  # in the core's words


@dataclass(frozen=True, slots=True)
class BufferedImage:
    """An image and its tags.

    Attributes:
        number: of the image in its sequence.
        camera_ms: the camera's clock; None where it has none.
        received_s: time at which the core received it, by its computer's clock; None where the core does not say.
        tags: of Micro-Manager.
        pixels: as they were delivered, not shaped; None where they were not requested, or are of an unknown type.
    """

    number: int
    camera_ms: float | None
    received_s: float | None
    tags: dict[str, Any]
    pixels: Array | None


class ImagesChangedError(SelfStormError):
    """The camera has changed since the images in the buffer were taken.

    Attributes:
        image: that showed it; its number and times are right, its pixels are not used. None where none was fetched.
    """

    def __init__(self, image: BufferedImage | None = None) -> None:
        super().__init__("the camera has changed since the images in the buffer were taken")
        self.image = image


class ImageBuffer:
    """Buffer of one sequence; made while the sequence runs.

    Args:
        core: pycromanager's Core, or an object with its methods.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._bytes = int(core.get_image_buffer_size())
        self._camera = str(core.get_camera_device())
        self._format: tuple[Any, ...] | None = None
        self._faults = 0

    def capacity(self) -> int:
        """Return how many images it holds before it is emptied."""
        return int(self._core.get_buffer_total_capacity())

    def is_made_for_these_images(self) -> bool:
        """Return whether its images have the size of the camera's.

        Its memory was divided by their size when the last sequence began.
        """
        memory_bytes = int(float(self._core.get_circular_buffer_memory_footprint()) * 2**20)
        return self._bytes > 0 and self.capacity() == memory_bytes // self._bytes

    def images(self) -> int:
        """Return how many images are in it that no program has taken out."""
        return int(self._core.get_remaining_image_count())

    def is_running(self) -> bool:
        """Return whether the sequence still runs."""
        return bool(self._core.is_sequence_running())

    def image(self, distance: int, kept: Any = ()) -> BufferedImage | None:
        """Fetch an image; return None where there is none (any more).

        Args:
            distance: from the newest image, which is 0.
            kept: numbers of images whose pixels are not needed again.

        Raises:
            ImagesChangedError: the image cannot be read, or may have been read wrongly.
        """
        self._check_size()
        tagged = self._tagged(distance)
        if tagged is None:
            return None
        tags = tagged.tags
        camera_ms = float(tags["ElapsedTime-ms"]) if "ElapsedTime-ms" in tags else None
        image = BufferedImage(int(tags["ImageNumber"]), camera_ms, _received_s(tags), tags, None)
        number_of_bytes = self._check(image)
        if not number_of_bytes or image.number in kept:
            return image
        pixels = tagged.pix
        if pixels.nbytes != number_of_bytes:
            raise ImagesChangedError(image)
        return replace(image, pixels=pixels)

    def _check_size(self) -> None:
        if int(self._core.get_image_buffer_size()) != self._bytes:
            raise ImagesChangedError

    def _check(self, image: BufferedImage) -> int:
        """Compare the tags of an image with those of the images before.

        The core wrote them right after it had copied the pixels.

        Returns:
            Bytes of the pixels; 0 for an unknown type.

        Raises:
            ImagesChangedError: the camera is another one, or its settings have changed.
        """
        tags = image.tags
        found = width, height, pixel_type = int(tags["Width"]), int(tags["Height"]), str(tags["PixelType"])
        number_of_bytes = width * height * BYTES_PER_PIXEL.get(pixel_type, 0)
        if self._format is None and number_of_bytes != self._bytes:
            self._check_size()  # or a camera whose own buffer is larger than its images
        if self._format not in (None, found) or tags.get("Camera", self._camera) != self._camera:
            raise ImagesChangedError(image)
        self._format = found
        return number_of_bytes

    def _tagged(self, distance: int) -> Any:
        try:
            tagged = self._core.get_n_before_last_tagged_image(distance)
        except Exception as error:
            # The bridge raises Exception itself, for an empty buffer and for any other fault.
            if type(error) is not Exception:
                raise
            if EMPTY in str(error).lower():  # for as long as another program takes the images, too
                return None
            self._faults += 1
            if self._faults > MAX_FAULTS and distance < self.images():
                raise
            return None
        self._faults = 0
        return tagged


def _received_s(tags: dict[str, Any]) -> float | None:
    """Return the local time of an image in s, for differences only."""
    try:
        return datetime.fromisoformat(str(tags["TimeReceivedByCore"])).replace(tzinfo=UTC).timestamp()
    except (KeyError, ValueError):
        return None
