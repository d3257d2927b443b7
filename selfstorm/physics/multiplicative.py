"""Multiplicative step of nonnegative fits: x A^T(y / (A x + b)) / A^T 1.

Each input is multiplied by the mean, over all pixels that see it, of data over model: where the model is too dark it
grows, where it is too bright it shrinks, and nothing becomes negative. It is expectation maximisation for Poisson data.

Reference:
    Richardson, J. Opt. Soc. Am. 62, 55 (1972); Lucy, Astron. J. 79, 745 (1974); Shepp & Vardi, IEEE Trans. Med.
    Imaging 1, 113 (1982).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from selfstorm.physics.operators import Operator

Ratio = Callable[[Tensor, Tensor, Tensor], Tensor]


def back_projected_ratio(operator: Operator, x: Tensor, data: Tensor, offset: Tensor, ratio: Ratio) -> Tensor:
    """Return A^T(y / (A x + b)), the step's factor without its norm.

    Args:
        operator: A.
        x: its input, >= 0.
        data: y, in the shape of A's output.
        offset: b, which broadcasts to it.
        ratio: of (data, A x, offset); bounded as the data need, and may write into A x.
    """
    return operator.adjoint(ratio(data, operator.forward(x), offset))


def multiplicative_step(operator: Operator, x: Tensor, data: Tensor, offset: Tensor, floor: float) -> Tensor:
    """Make one plain step, differentiable.

    Args:
        operator: A.
        x: its input, >= 0.
        data: y, in the shape of A's output.
        offset: b, which broadcasts to it.
        floor: > 0, lower bound of the model in the ratio.
    """

    def ratio(data: Tensor, seen: Tensor, offset: Tensor) -> Tensor:
        return data / (seen + offset).clamp(min=floor)

    return x * back_projected_ratio(operator, x, data, offset, ratio).clamp(min=0) / operator.norm
