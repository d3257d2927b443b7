"""Covariances of earlier frames for stage A, in blocks of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from selfstorm.compute.cuda_graphs import Graphs
from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.operators import LAGS
from selfstorm.stages.covariances import Sums, sums_of
from selfstorm.stream.averaging_plan import AveragingPlan, choose_averaging_plan
from selfstorm.stream.motion import Block, align_and_sum

BLOCK_FRAMES = 25
MAX_BLOCKS_A_WINDOW = 8  # so that the history is longer than the longest window
MAX_BLOCKS = 16
FINGERPRINT_PIXELS = 16_384


@dataclass(frozen=True)
class CovarianceHistory:
    """Sums over the frames of one scene, the newest 16 blocks, oldest first.

    Attributes:
        blocks: sums over consecutive frames.
        since: number of the first frame of the scene, -1 where no scene changed.
        last: number of the newest frame in the sums.
        length: frames of a whole block; the newest block may have fewer.
        plan: how the blocks are averaged; None before the first plan.
        planned_for: first frame of the newest whole block at that time.
    """

    blocks: tuple[Block, ...] = ()
    since: int = -1
    last: int = -1
    length: int = BLOCK_FRAMES
    plan: AveragingPlan | None = None
    planned_for: int = -1

    def with_frames(
        self,
        c: Tensor,
        before: Tensor | None,
        numbers: Array,
        window: int,
        fingerprints: Sequence[int] = (),
        repeated_noise: Tensor | None = None,
    ) -> CovarianceHistory:
        """Add frames.

        Args:
            c: (T, H, W) photons at equal brightness, without trend and out-of-focus light.
            before: (1, H, W), the frame before them, where there is one.
            numbers: (T,) of the frames, rising.
            window: frames of the window, which set the length of a block.
            fingerprints: fingerprints of the raw frames (`fingerprints_of`).
            repeated_noise: (lags, H, W) photons^2, covariance of noise to subtract; None for none.
        """
        pieces = pieces_of(len(c), window)
        sums = [sums_of(c[one], c[one.start - 1 : one.start] if one.start else before, window) for one in pieces]
        if repeated_noise is not None:
            sums = [replace(one, now=one.now - one.freedom * repeated_noise) for one in sums]
        return self.with_sums(pieces, sums, numbers, window, fingerprints)

    def with_sums(
        self,
        pieces: Sequence[slice],
        sums: Sequence[Sums],
        numbers: Array,
        window: int,
        fingerprints: Sequence[int] = (),
    ) -> CovarianceHistory:
        """Add the sums over pieces of new frames (`pieces_of`).

        The other arguments are those of `with_frames`.
        """
        length = _block_length(window)
        blocks = list(self.blocks)
        if self.last < 0:  # carried on from another stream, unknown how long ago
            blocks = [_later(block, int(numbers[0])) for block in blocks]
        for piece, of_piece in zip(pieces, sums, strict=True):
            one = of_piece
            start, middle = int(numbers[piece.start]), float(numbers[piece].mean())
            names = frozenset(fingerprints[piece])
            if blocks and blocks[-1].sums.frames < length:
                open_ = blocks.pop()
                share = one.frames / (one.frames + open_.sums.frames)
                start, middle = open_.first, share * middle + (1 - share) * open_.middle
                one, names = open_.sums + one, open_.fingerprints | names
            blocks.append(Block(start, middle, one, names))
        return replace(self, blocks=tuple(blocks[-MAX_BLOCKS:]), last=int(numbers[-1]), length=length)

    def carried_on(self) -> CovarianceHistory:
        """Return the history for another stream of the same scene.

        Frame 0 of that stream follows the last frame of this one.
        """
        blocks = tuple(_later(block, -self.last - 1) for block in self.blocks)
        return CovarianceHistory(blocks, length=self.length, plan=self.plan) if self.last >= 0 else self

    def whole(self) -> list[Block]:
        """Return the blocks that no frame will be added to."""
        return [block for block in self.blocks if block.sums.frames >= self.length]

    @property
    def frames(self) -> int:
        """Number of frames in the sums."""
        return sum(block.sums.frames for block in self.blocks)

    def older_than(self, number: int) -> bool:
        """Return whether frames before that number are in the sums."""
        return bool(self.blocks) and self.blocks[0].first < number

    def planned(self, graphs: Graphs | None = None) -> CovarianceHistory:
        """Return the history with a plan for the whole blocks it has now."""
        whole = self.whole()
        newest = whole[-1].first if whole else -1
        if self.plan is not None and newest == self.planned_for:
            return self
        return replace(self, plan=choose_averaging_plan(whole, graphs), planned_for=newest)

    def everything(self) -> Selection:
        """Select all blocks, unmoved."""
        return Selection(self.blocks, len(self.blocks), None, 0.0)

    def at(self, number: float, min_frames: int = 0) -> Selection:
        """Select the planned number of blocks nearest to a frame's number.

        They are moved to where the sample was at that frame.
        """
        plan = self.plan or choose_averaging_plan(())
        nearest = sorted(self.blocks, key=lambda block: abs(block.middle - number))
        frames = np.cumsum([block.sums.frames for block in nearest])
        wanted = max(plan.blocks, int(np.searchsorted(frames, min_frames)) + 1)
        return Selection(tuple(nearest), wanted, plan.velocity, number)

    def notes(self, first: int, pixel_nm: float) -> tuple[str, ...]:
        """Return notes for the user on the picture of a window.

        Args:
            first: Number of the first frame of the window.
            pixel_nm: Camera pixel in the sample.
        """
        notes = []
        if first < self.since:
            notes.append(f"Another scene since frame {self.since}; the model was started anew")
        if self.plan is not None and self.plan.velocity is not None and self.older_than(first):
            y, x = (float(v) * pixel_nm for v in self.plan.velocity.mean((1, 2)))
            speed = float(self.plan.velocity.square().sum(0).mean().sqrt()) * pixel_nm
            if self.plan.motion == "rigid":
                notes.append(f"The sample drifts ({y:+.2f} nm/frame in y, {x:+.2f} nm/frame in x); motion is corrected")
            else:
                notes.append(f"Parts of the sample are moving ({speed:.2f} nm/frame); motion is corrected")
        return tuple(notes)

    def motion_nm(self, first: int, frames: int, pixel_nm: float) -> float | None:
        """Return the root-mean-square distance moved within a window.

        Args:
            first: Number of the first frame of the window.
            frames: Frames of the window.
            pixel_nm: Camera pixel in the sample.

        Returns:
            None where the window's own frames are all there are; 0 where nothing moves.
        """
        if self.plan is None or not self.older_than(first):
            return None
        if self.plan.velocity is None:
            return 0.0
        return float(self.plan.velocity.square().sum(0).mean().sqrt()) * pixel_nm * frames

    def describe(self, first: int) -> str:
        """Describe the frames that a window's density was computed from.

        Args:
            first: Number of the first frame of the window.
        """
        if not self.older_than(first):
            return "the window's own frames"
        if self.plan is None or self.plan.blocks >= len(self.blocks):
            frames = self.frames
        else:
            frames = self.plan.blocks * self.length
        motion = self.plan.motion if self.plan else "still"
        how = {"still": "unmoved", "rigid": "corrected for drift", "local": "corrected for local motion"}[motion]
        return f"about {frames} frames, {how}"

    def state(self) -> dict[str, Tensor]:
        """Return the blocks as tensors on the CPU.

        Their frames are counted from the one after the last.
        """
        if not self.blocks:
            return {}
        next_ = self.last + 1
        facts = [(b.first - next_, b.middle - next_, b.sums.frames, b.sums.freedom, self.length) for b in self.blocks]
        maps = torch.stack([torch.cat([b.sums.now, b.sums.following, b.sums.power[None]]) for b in self.blocks])
        names = [(number, name) for number, b in enumerate(self.blocks) for name in sorted(b.fingerprints)]
        return {
            "memory.facts": torch.tensor(facts, dtype=torch.float64),
            "memory.maps": maps.cpu(),
            "memory.fingerprints": torch.tensor(names, dtype=torch.int64).view(-1, 2),
        }

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], field: tuple[int, ...], device: torch.device) -> CovarianceHistory:
        """Restore a history from tensors; empty where there are none.

        Args:
            tensors: From `state`; the next frame has number 0.
            field: (H, W) of the frames.
            device: Device of the history.

        Raises:
            InputError: The tensors do not fit the field.
        """
        facts, maps = tensors.get("memory.facts"), tensors.get("memory.maps")
        if facts is None or maps is None:
            return cls()
        count, lags = len(maps), len(LAGS)
        if facts.shape != (count, 5) or maps.shape != (count, 2 * lags + 1, *field) or not 0 < count <= MAX_BLOCKS:
            raise InputError(f"a history of shapes {tuple(facts.shape)}, {tuple(maps.shape)}", where="state")
        names = tensors.get("memory.fingerprints", torch.zeros((0, 2), dtype=torch.int64))
        if names.ndim != 2 or names.shape[1] != 2 or names.dtype != torch.int64:
            raise InputError(f"fingerprints of shape {tuple(names.shape)}", where="state")
        blocks = []
        for number, ((first, middle, frames, freedom, _), stack) in enumerate(
            zip(facts.tolist(), maps.to(device), strict=True)
        ):
            now, following, power = stack.split([lags, lags, 1])
            sums = Sums(int(frames), freedom, now, following, power[0])
            blocks.append(Block(int(first), middle, sums, frozenset(names[names[:, 0] == number, 1].tolist())))
        return cls(tuple(blocks), length=int(facts[0, 4]))


@dataclass(frozen=True)
class Selection:
    """Blocks to be added up, and where to move them.

    Attributes:
        blocks: all there are, the nearest first.
        wanted: how many of them.
        velocity: (2, H, W) pixels a frame; None where nothing moves.
        number: number of the frame at whose time the sample is shown.
    """

    blocks: tuple[Block, ...]
    wanted: int
    velocity: Tensor | None
    number: float

    def sums(self) -> Sums:
        """Add up the wanted blocks."""
        return align_and_sum(self.blocks[: self.wanted], self.velocity, self.number)

    def adds_up_as(self, other: Selection) -> bool:
        """Return whether both add up the same blocks, and move none of them."""
        unmoved = self.velocity is None and other.velocity is None
        return unmoved and self.blocks[: self.wanted] == other.blocks[: other.wanted]

    def halves(self) -> tuple[Sums, Sums] | None:
        """Add up every second block, and the other blocks.

        Returns None where there are fewer than two blocks.

        No frame is in both, nor is one that a replay repeats: it would confirm its own noise.
        """
        dealt: list[Block] = []
        seen: frozenset[int] = frozenset()
        for block in self.blocks[: max(self.wanted, 2)]:
            if not seen & block.fingerprints:
                dealt.append(block)
                seen |= block.fingerprints
        if len(dealt) < 2:
            return None
        dealt.sort(key=lambda block: block.middle)
        first, second = (align_and_sum(dealt[side::2], self.velocity, self.number) for side in (0, 1))
        return first, second


def pieces_of(frames: int, window: int) -> list[slice]:
    """Cut new frames into the pieces that blocks are made of.

    Args:
        frames: number of the new frames.
        window: frames of the window.
    """
    parts = np.array_split(np.arange(frames), max(1, frames // _block_length(window)))
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]


def _block_length(window: int) -> int:
    return max(BLOCK_FRAMES, window // MAX_BLOCKS_A_WINDOW)


def fingerprints_of(raw: Array) -> list[int]:
    """Return a 32-bit fingerprint of each frame of raw (T, H, W).

    It is computed from about 16,384 pixels; noise makes the fingerprints of two frames differ.
    """
    pixels = raw.reshape(len(raw), -1)[:, :: max(1, raw[0].size // FINGERPRINT_PIXELS)]
    return [crc32(np.ascontiguousarray(frame).tobytes()) for frame in pixels]


def _later(block: Block, frames: int) -> Block:
    """Shift the frame numbers of a block."""
    return replace(block, first=block.first + frames, middle=block.middle + frames)
