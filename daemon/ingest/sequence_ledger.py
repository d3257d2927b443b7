"""Sent, received, missing: what became of every frame, from the numbers on frames and heartbeats."""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST_GAP = 10_000_000


@dataclass
class Ledger:
    """The account of one stream, counted from the first seq heard of.

    sent = received + missing at all times; out_of_order frames (repeated or late) are no frames of their own.
    """

    stream: str
    first_seq: int
    next_seq: int = field(init=False)
    received: int = 0
    missing: int = 0
    out_of_order: int = 0

    def __post_init__(self) -> None:
        self.next_seq = self.first_seq

    @property
    def sent(self) -> int:
        return self.next_seq - self.first_seq

    def believes(self, seq: int) -> bool:
        """Whether the sender may have got that far: hours in which nothing came are a gap, 2**62 frames nonsense."""
        return seq - self.next_seq <= LONGEST_GAP

    def frame(self, seq: int) -> int | None:
        """A frame arrived: how many before it are missing; None when it is out of order and not to be used."""
        if seq < self.next_seq:
            self.out_of_order += 1
            return None
        gap = self.reached(seq)
        self.next_seq, self.received = seq + 1, self.received + 1
        return gap

    def reached(self, next_seq: int) -> int:
        """The sender stands at next_seq: how many frames before it turn out to be missing."""
        gap = max(0, next_seq - self.next_seq)
        self.next_seq, self.missing = max(self.next_seq, next_seq), self.missing + gap
        return gap
