"""Account of a stream: frames sent, received and missing.

It is kept by the numbers on frames and heartbeats.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST_GAP = 10_000_000


@dataclass
class Ledger:
    """The account of one stream, counted from its first known number.

    sent = received + missing at all times.

    Attributes:
        stream: name of the stream.
        first_seq: first number that is counted.
        next_seq: number of the frame that should come next.
        received: frames that came in order.
        missing: frames that were sent and did not come.
        out_of_order: repeated or late frames, which are not counted as sent.
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
        """Number of frames sent."""
        return self.next_seq - self.first_seq

    def is_plausible(self, seq: int) -> bool:
        """Return True if the sender may have reached a number.

        A gap of hours is possible, one of 2**62 frames is not.
        """
        return seq - self.next_seq <= LONGEST_GAP

    def frame(self, seq: int) -> int | None:
        """Count a frame.

        Returns:
            Number of missing frames before it; None when it is out of order and must not be used.
        """
        if seq < self.next_seq:
            self.out_of_order += 1
            return None
        gap = self.reached(seq)
        self.next_seq, self.received = seq + 1, self.received + 1
        return gap

    def reached(self, next_seq: int) -> int:
        """Advance to the sender's next number.

        Returns:
            Number of frames before it that turn out to be missing.
        """
        gap = max(0, next_seq - self.next_seq)
        self.next_seq, self.missing = max(self.next_seq, next_seq), self.missing + gap
        return gap
