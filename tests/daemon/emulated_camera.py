"""The camera of the emulated Micro-Manager: live mode, a circular buffer, and what can happen to both."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

FRAME_MS = 1000.0  # by its clock: the camera is never faster than a busy machine's looks


@dataclass
class Camera:
    """Live mode and the circular buffer, worked by the test: nothing happens by itself."""

    height: int = 4
    width: int = 6
    pixel_type: str = "GRAY16"
    roi: str = "16-32-6-4"
    binning: str = "2"
    exposure_ms: float = 10.0
    frame_ms: float = FRAME_MS
    pixel_um: float = 0.1
    bit_depth: int = 12
    capacity: int = 1000
    buffer_bytes: int = 0  # divided among the images when a sequence starts
    padding: int = 0  # bytes that the camera's own buffer has more than an image
    label: str = "Camera"  # empty where no camera is loaded
    library: str = "HamamatsuHam"
    state_cache: bool = True  # of the core: off while Micro-Manager's live window is on
    level: int = 0  # added to every pixel
    noise: int = 0  # added to every pixel on average
    numbers_begin_again: bool = False  # with every emptied buffer, as in older cores
    comment: str = "an @ in a tag is no array"
    owned: bool = False  # whether the client may take, start, stop and set
    presets: dict = field(default_factory=lambda: {("Channel", "Cy5"): {("Dichroic", "Label"): "Q660"}})
    properties: dict = field(default_factory=lambda: {("Camera", "Binning"): "2", ("Dichroic", "Label"): "400DCLP"})
    to_come: int = 0  # frames of a sequence that the client started
    last_words: int = 0  # frames that come in just before a question whether the sequence runs finds it stopped
    live: bool = False
    number: int = 0
    clock_ms: float = 0.0
    began: datetime = field(default_factory=datetime.now)  # of the clock
    looked_at: int = 0  # highest number that was asked for
    buffer: deque = field(default_factory=deque)

    def start(self):
        """Live is pressed: the buffer is emptied, numbers and clock begin again."""
        self.buffer.clear()
        self.live, self.number, self.clock_ms, self.looked_at = True, 0, 0.0, 0
        self.buffer_bytes = self.capacity * (self.image_bytes + self.padding)
        self.began = datetime.now()

    def shoot(self, count=1):
        """So many frames; a full buffer is emptied without a word, as Micro-Manager does."""
        for _ in range(count):
            if len(self.buffer) >= self.capacity:
                self.clear()
            dtype = np.uint8 if self.pixel_type == "GRAY8" else np.uint16
            value = (self.level + self.number) % (np.iinfo(dtype).max + 1)
            pixels = np.full((self.height, self.width), value, dtype)
            if self.noise:
                pixels += np.random.default_rng(self.number).poisson(self.noise, pixels.shape).astype(dtype)
            self.buffer.append((self.number, self.clock_ms, pixels))
            self.number += 1
            self.clock_ms += self.frame_ms

    def clear(self):
        """The buffer is emptied."""
        self.buffer.clear()
        if self.numbers_begin_again:
            self.number = self.looked_at = 0

    def miss(self, count):
        """So many frames are lost inside the camera: its clock runs on, its numbers do not."""
        self.clock_ms += count * self.frame_ms

    def pop(self, count):
        """Another client takes the oldest images."""
        for _ in range(min(count, len(self.buffer))):
            self.buffer.popleft()

    @property
    def unseen(self):
        """Images in the buffer that are newer than all that were asked for."""
        return min(len(self.buffer), self.number - 1 - self.looked_at)

    def asked(self):
        """Somebody asks how it stands: a sequence that the client started goes on meanwhile."""
        if self.to_come:
            self.to_come -= 1
            self.shoot()
            self.live = self.to_come > 0

    def tagged_image(self, distance):
        if distance >= len(self.buffer):
            raise RuntimeError("java.lang.Exception: Circular buffer is empty.\n\tat mmcorej.MMCoreJJNI.get(Native)")
        self.looked_at = max(self.looked_at, self.buffer[-1 - distance][0])  # an older one is looked at again in doubt
        return self.tagged(*self.buffer[-1 - distance])

    @property
    def bytes_per_pixel(self):
        return 1 if self.pixel_type == "GRAY8" else 4 if self.pixel_type.startswith("RGB") else 2

    @property
    def image_bytes(self):
        return self.height * self.width * self.bytes_per_pixel

    def tagged(self, number, clock_ms, pixels):
        """An image as the core gives it: size and type are what the camera has now, whatever it was taken with."""
        if pixels.nbytes != self.image_bytes:
            dtype = np.uint8 if self.bytes_per_pixel == 1 else np.uint16
            pixels = np.frombuffer((pixels.tobytes() + b"\xde" * self.image_bytes)[: self.image_bytes], dtype)
        cached = {"Camera-Exposure": f"{self.exposure_ms}"} if self.state_cache else {}
        tags = {
            **cached,
            "ImageNumber": str(number),
            "ElapsedTime-ms": f"{clock_ms:.2f}",
            "TimeReceivedByCore": str(self.began + timedelta(milliseconds=clock_ms)),
            "Width": self.width,
            "Height": self.height,
            "PixelType": self.pixel_type,
            "ROI": self.roi,
            "Binning": self.binning,
            "Camera": self.label,
            "Core-Comment": self.comment,
        }
        return {"pix": pixels, "tags": tags}
