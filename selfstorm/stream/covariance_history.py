"""What is remembered of earlier windows' frames for stage A, in blocks of sums."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selfstorm.errors import InputError
from selfstorm.frames import Array
from selfstorm.physics.operators import LAGS
from selfstorm.stages.covariances import Sums, sums_of
from selfstorm.stream.averaging_plan import AveragingPlan, choose_averaging_plan
from selfstorm.stream.motion import Block, align_and_sum

BLOCK_FRAMES = 25
BLOCKS_A_WINDOW = 8  # at most: so that the memory is longer than the longest window
MOST_BLOCKS = 16


@dataclass(frozen=True)
class CovarianceHistory:
    """Sums over the frames of one scene, the newest 16 blocks, oldest first.

    since: number of the first frame of the scene that the windows show. last: of the newest frame remembered. length:
    frames that make a block whole; the newest may wait for more. plan: how they are put together, None before it was
    asked for; planned_for: the first frame of the newest whole block then.
    """

    blocks: tuple[Block, ...] = ()
    since: int = -1
    last: int = -1
    length: int = BLOCK_FRAMES
    plan: AveragingPlan | None = None
    planned_for: int = -1

    def with_frames(self, c: Tensor, before: Tensor | None, numbers: Array, window: int) -> CovarianceHistory:
        """The memory of more frames too.

        c: (T, H, W) photons at equal brightness, without trend and haze; before: (1, H, W), the frame before them if it
        is there; numbers: (T,), rising. window: frames that a whole window has so far.
        """
        length = max(BLOCK_FRAMES, window // BLOCKS_A_WINDOW)
        blocks = list(self.blocks)
        if self.last < 0:  # carried on from another stream: how long ago that was nobody knows
            blocks = [_later(block, int(numbers[0])) for block in blocks]
        for piece in np.array_split(np.arange(len(c)), max(1, len(c) // length)):
            begin, end = int(piece[0]), int(piece[-1]) + 1
            sums = sums_of(c[begin:end], c[begin - 1 : begin] if begin else before, window)
            start, middle = int(numbers[begin]), float(numbers[begin:end].mean())
            if blocks and blocks[-1].sums.frames < length:
                open_ = blocks.pop()
                share = sums.frames / (sums.frames + open_.sums.frames)
                start, middle = open_.first, share * middle + (1 - share) * open_.middle
                sums = open_.sums + sums
            blocks.append(Block(start, middle, sums))
        return replace(self, blocks=tuple(blocks[-MOST_BLOCKS:]), last=int(numbers[-1]), length=length)

    def carried_on(self) -> CovarianceHistory:
        """For another stream of the same scene: numbers as if its first frame, number 0, came next."""
        blocks = tuple(_later(block, -self.last - 1) for block in self.blocks)
        return CovarianceHistory(blocks, length=self.length, plan=self.plan) if self.last >= 0 else self

    def whole(self) -> list[Block]:
        """The blocks that no frame will be added to."""
        return [block for block in self.blocks if block.sums.frames >= self.length]

    @property
    def frames(self) -> int:
        """How many are remembered."""
        return sum(block.sums.frames for block in self.blocks)

    def older_than(self, number: int) -> bool:
        """Whether frames before that number are remembered."""
        return bool(self.blocks) and self.blocks[0].first < number

    def planned(self) -> CovarianceHistory:
        """With a plan for the whole blocks there are now."""
        whole = self.whole()
        newest = whole[-1].first if whole else -1
        if self.plan is not None and newest == self.planned_for:
            return self
        return replace(self, plan=choose_averaging_plan(whole), planned_for=newest)

    def everything(self) -> Sums:
        """Sums over all that is remembered, as it was."""
        return align_and_sum(self.blocks, None, 0.0)

    def at(self, number: float, least_frames: int = 0) -> Sums:
        """Sums over the blocks nearest to a frame's number, as many as planned, as the sample was then."""
        plan = self.plan or choose_averaging_plan(())
        nearest = sorted(self.blocks, key=lambda block: abs(block.middle - number))
        frames = np.cumsum([block.sums.frames for block in nearest])
        wanted = max(plan.blocks, int(np.searchsorted(frames, least_frames)) + 1)
        return align_and_sum(nearest[:wanted], plan.velocity, number)

    def notes(self, first: int, pixel_nm: float) -> tuple[str, ...]:
        """What to tell who looks at the picture of a window that begins with that number."""
        notes = []
        if first < self.since:
            notes.append(f"another scene since frame {self.since}: what was learned from the one before is forgotten")
        if self.plan is not None and self.plan.velocity is not None and self.older_than(first):
            y, x = (float(v) * pixel_nm for v in self.plan.velocity.mean((1, 2)))
            speed = float(self.plan.velocity.square().sum(0).mean().sqrt()) * pixel_nm
            if self.plan.motion == "rigid":
                notes.append(f"the sample drifts by {y:+.2f} (y) and {x:+.2f} (x) nm a frame; the density goes along")
            else:
                notes.append(f"parts of the sample move, by {speed:.2f} nm a frame or so; the density goes along")
        return tuple(notes)

    def describe(self, first: int) -> str:
        """In words, which frames the density of a window that begins with that number was made from."""
        if not self.older_than(first):
            return "the window's own frames"
        if self.plan is None or self.plan.blocks >= len(self.blocks):
            frames = self.frames
        else:
            frames = self.plan.blocks * self.length
        motion = self.plan.motion if self.plan else "still"
        how = {"still": "as they are", "rigid": "moved along with a drift", "local": "moved place by place"}[motion]
        return f"about {frames} frames, {how}"

    def state(self) -> dict[str, Tensor]:
        """The blocks on the CPU, their frames counted from the one after the last."""
        if not self.blocks:
            return {}
        next_ = self.last + 1
        facts = [(b.first - next_, b.middle - next_, b.sums.frames, b.sums.freedom, self.length) for b in self.blocks]
        maps = torch.stack([torch.cat([b.sums.now, b.sums.following, b.sums.power[None]]) for b in self.blocks])
        return {"memory.facts": torch.tensor(facts, dtype=torch.float64), "memory.maps": maps.cpu()}

    @classmethod
    def from_state(cls, tensors: dict[str, Tensor], field: tuple[int, ...], device: torch.device) -> CovarianceHistory:
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


def _later(block: Block, frames: int) -> Block:
    """The block with its frames so many numbers later."""
    return replace(block, first=block.first + frames, middle=block.middle + frames)
