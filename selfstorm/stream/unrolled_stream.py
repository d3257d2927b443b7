"""The unrolled model of a stream, by the engine's protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from selfstorm.compute.batching import free_bytes
from selfstorm.frames import Array
from selfstorm.reconstruction import Reconstruction
from selfstorm.stages.density import cold_iterations, iterate
from selfstorm.stream.accumulation import Accumulation
from selfstorm.stream.after_picture import accumulated
from selfstorm.stream.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from selfstorm.stream.compute_resources import Compute
from selfstorm.stream.frame_store import WindowSpan, pending_frames
from selfstorm.stream.ingest import ingest
from selfstorm.stream.memory_plan import ingested_together, plan
from selfstorm.stream.model import SequenceModel, learn_model
from selfstorm.stream.model_protocol import WindowCost
from selfstorm.stream.per_frame import NO_CALLBACKS, ProgressCallbacks
from selfstorm.stream.photon_units import in_photons
from selfstorm.stream.processing_level import ProcessingLevel
from selfstorm.stream.reconstruct import reconstruct_window
from selfstorm.stream.sequence_stream import SequenceStream
from selfstorm.stream.settings import Settings

PROBES, PROBED_ITERATIONS = 3, 4


class UnrolledStream(SequenceStream[SequenceModel]):
    """Our model of a stream (implements StreamModel)."""

    @classmethod
    def learned_from(cls, settings: Settings, first_window: Array, compute: Compute) -> UnrolledStream:
        """Make the model of a stream that begins with first_window, (T, H, W) ADU."""
        return cls(learn_model(settings, first_window, compute))

    @classmethod
    def load(cls, path: Path, settings: Settings, field: tuple[int, int], compute: Compute) -> UnrolledStream:
        """Load a saved model for a stream of a field (H, W)."""
        return cls(load_checkpoint(path, settings, field, compute))

    def ingest(self, raw: Array, span: WindowSpan) -> None:
        """Ingest new frames, (T, H, W) ADU.

        Raises:
            InputError: The frames are of another field.
        """
        self.check_field(raw)
        self.learned = ingest(self.learned, raw, span)

    def picture(
        self,
        span: WindowSpan,
        level: ProcessingLevel | None = None,
        callbacks: ProgressCallbacks = NO_CALLBACKS,
        preview: Callable[[Reconstruction], None] | None = None,
    ) -> Reconstruction:
        """Learn from a window of ingested frames and super-resolve it."""
        pixels = self.learned.calibration.pixels
        excess_noise = 1.0 if pixels is None else pixels.excess_noise
        show = None if preview is None else lambda result: preview(in_photons(result, excess_noise))
        self.learned, result = reconstruct_window(self.learned, span, level, callbacks, show)
        return in_photons(result, excess_noise)

    def start_stream(self) -> None:
        """Go on with another stream of the same field."""
        self.learned = accumulated(self.learned)
        super().start_stream()

    def accumulate(self, callbacks: ProgressCallbacks = NO_CALLBACKS) -> Accumulation | None:
        """Check the last window's claims where due, and accumulate it.

        Raises:
            Exception: Its emitters cannot be added; the sums go on without them.
        """
        before, self.learned = self.learned, self.learned.with_state(new_emitters=None)
        self.learned = accumulated(before, callbacks)
        if self.settings.estimate != "fused":
            return None
        pixels = self.learned.calibration.pixels
        sums = self.learned.state.accumulation
        return sums if pixels is None else replace(sums, excess_noise=pixels.excess_noise)

    def cost(self, first: int) -> WindowCost:
        """Return the work that the window from frame `first` on still takes."""
        state, settings = self.learned.state, self.settings
        frames = state.history.frames
        return WindowCost(
            pending_frames(state.buffer, first, settings.estimate == "fused", frames),
            state.iteration_choice.iterations(cold_iterations(frames)),
            state.psf_learning.due(settings),
            settings.estimate == "fused" and state.claims.due,
        )

    def iteration_s(self) -> float:
        """Measure the time of one iteration of stage A here, in seconds."""
        operators, times = self.learned.operators, []

        def iterated(m: Tensor, data: Tensor) -> Tensor:
            return iterate(operators.covariance, m, data, data, m, PROBED_ITERATIONS)

        with torch.inference_mode():  # as windows are: kernels compiled outside would be compiled once more
            flat = torch.ones_like(operators.imaging.norm)
            seen = operators.covariance.forward(flat)
            for _ in range(PROBES):
                start = time.perf_counter()
                float(operators.graphs.run("probe", iterated, flat, seen).sum())
                times.append(time.perf_counter() - start)
        return min(times) / PROBED_ITERATIONS

    def memory_shortage(self, frames: int) -> str:
        """Describe the device's shortage of memory for a window of `frames`.

        The text is empty where the memory is sufficient.
        """
        operators, compute = self.learned.operators, self.compute
        free = free_bytes(compute.device)
        new = min(frames, ingested_together((self.learned.grid.height, self.learned.grid.width)))
        needed = plan(operators.imaging, operators.covariance, frames, compute.limits, free, new)
        if needed.fits or needed.free is None:
            return ""
        free_gib, peak_gib = needed.free / 2**30, needed.peak / 2**30
        return f"{free_gib:.1f} GiB of its memory are free, {frames} frames of this field take {peak_gib:.1f}"

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that name PSF, camera and density."""
        return fingerprint(self.learned)

    def save(self, path: Path, source: str, *, overwrite: bool = False) -> None:
        """Save what was learned to a file."""
        save_checkpoint(self.learned, path, source, overwrite=overwrite)
