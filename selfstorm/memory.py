"""What is remembered of earlier windows' frames for stage A, in blocks of sums."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import InputError
from selfstorm.foresight import Plan, plan_for
from selfstorm.frames import Array
from selfstorm.motion import Block, brought
from selfstorm.operators import LAGS
from selfstorm.statistics import Sums, sums_of, trend

BLOCK_FRAMES = 25
BLOCKS_A_WINDOW = 8  # at most: so that the memory is longer than the longest window
MOST_BLOCKS = 16
RECOGNIZABLE_FRAMES = 16


@dataclass(frozen=True)
class Memory:
    """Sums over the frames of one scene, the newest 16 blocks, oldest first.

    since: number of the first frame of the scene that the windows show. last: of the newest frame remembered. length:
    frames that make a block whole; the newest may wait for more. plan: for the whole blocks, None before it was asked
    for.
    """

    blocks: tuple[Block, ...] = ()
    since: int = -1
    last: int = -1
    length: int = BLOCK_FRAMES
    plan: Plan | None = None

    def of_scene(self, numbers: Array) -> slice:
        """Those frames of a window that show the present scene."""
        return slice(int(np.searchsorted(numbers, self.since)), len(numbers))

    def newest(self, numbers: Array) -> slice:
        """Frames of a window that are not remembered yet, and so many before them that a scene can be recognised."""
        first = int(np.searchsorted(numbers, self.last, side="right"))
        return slice(max(0, min(first, len(numbers) - RECOGNIZABLE_FRAMES)), len(numbers))

    def with_window(self, y: Tensor, numbers: Array) -> Memory:
        """The memory of a window's new frames too. y: (T, H, W) photons at equal brightness; numbers: (T,), rising."""
        shown = self.of_scene(numbers)
        y, numbers = y[shown], numbers[shown]
        first = int(np.searchsorted(numbers, self.last, side="right"))
        if first == len(numbers):
            return self
        length = max(BLOCK_FRAMES, len(y) // BLOCKS_A_WINDOW)
        c, blocks = y - trend(y), list(self.blocks)
        if self.last < 0:  # carried on from another stream: how long ago that was nobody knows
            blocks = [replace(b, first=b.first + int(numbers[0]), middle=b.middle + numbers[0]) for b in blocks]
        pieces = max(1, (len(y) - first) // length)
        for piece in np.array_split(np.arange(first, len(y)), pieces):
            begin, end = int(piece[0]), int(piece[-1]) + 1
            sums = sums_of(c[begin:end], c[begin - 1 : begin] if begin else None, len(y))
            start, middle = int(numbers[begin]), float(numbers[begin:end].mean())
            if blocks and blocks[-1].sums.frames < length:
                open_ = blocks.pop()
                share = sums.frames / (sums.frames + open_.sums.frames)
                start, middle = open_.first, share * middle + (1 - share) * open_.middle
                sums = open_.sums + sums
            blocks.append(Block(start, middle, sums))
        then = Memory(tuple(blocks[-MOST_BLOCKS:]), self.since, int(numbers[-1]), length)
        return replace(then, plan=self.plan) if then.whole() == self.whole() else then

    def whole(self) -> list[Block]:
        """The blocks that no frame will be added to."""
        return [block for block in self.blocks if block.sums.frames >= self.length]

    def older_than(self, numbers: Array) -> bool:
        """Whether more is remembered than a window of those frames shows."""
        return self.blocks[0].first < int(numbers[0])

    def planned(self) -> Memory:
        """With a plan for its blocks."""
        return self if self.plan else replace(self, plan=plan_for(self.whole()))

    def at(self, number: float, least_frames: int = 0) -> Sums:
        """Sums over the blocks nearest to a frame's number, as many as planned, as the sample was then."""
        plan = self.plan or plan_for(self.whole())
        nearest = sorted(self.blocks, key=lambda block: abs(block.middle - number))
        frames = np.cumsum([block.sums.frames for block in nearest])
        wanted = max(plan.blocks, int(np.searchsorted(frames, least_frames)) + 1)
        return brought(nearest[:wanted], plan.velocity, number)

    def notes(self, numbers: Array, pixel_nm: float) -> tuple[str, ...]:
        """What to tell who looks at the picture of a window of these frames."""
        notes = []
        if numbers[0] < self.since:
            notes.append(f"another scene since frame {self.since}: what was learned from the one before is forgotten")
        if self.plan is not None and self.plan.velocity is not None and self.older_than(numbers):
            y, x = (float(v) * pixel_nm for v in self.plan.velocity.mean((1, 2)))
            speed = float(self.plan.velocity.square().sum(0).mean().sqrt()) * pixel_nm
            if self.plan.motion == "rigid":
                notes.append(f"the sample drifts by {y:+.2f} (y) and {x:+.2f} (x) nm a frame; the density goes along")
            else:
                notes.append(f"parts of the sample move, by {speed:.2f} nm a frame or so; the density goes along")
        return tuple(notes)

    def state(self) -> dict[str, Tensor]:
        """The blocks on the CPU, their frames counted from the one after the last."""
        if not self.blocks:
            return {}
        next_ = self.last + 1
        facts = [(b.first - next_, b.middle - next_, b.sums.frames, b.sums.freedom, self.length) for b in self.blocks]
        maps = torch.stack([torch.cat([b.sums.now, b.sums.following, b.sums.power[None]]) for b in self.blocks])
        return {"memory.facts": torch.tensor(facts, dtype=torch.float64), "memory.maps": maps.cpu()}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], field: tuple[int, ...], device: torch.device) -> Memory:
        """The memory in a state_dict, as if the next frame were number 0; an empty one where there is none."""
        facts, maps = tensors.get("memory.facts"), tensors.get("memory.maps")
        if facts is None or maps is None:
            return cls()
        count, lags = len(maps), len(LAGS)
        if facts.shape != (count, 5) or maps.shape != (count, 2 * lags + 1, *field) or not 0 < count <= MOST_BLOCKS:
            raise InputError(f"a memory of shapes {tuple(facts.shape)}, {tuple(maps.shape)}", where="state")
        blocks = []
        for (first, middle, frames, freedom, _), stack in zip(facts.tolist(), maps.to(device), strict=True):
            now, following, power = stack.split([lags, lags, 1])
            blocks.append(Block(int(first), middle, Sums(int(frames), freedom, now, following, power[0])))
        return cls(tuple(blocks), length=int(facts[0, 4]))
