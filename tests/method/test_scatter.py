"""Sums at places do not depend on the order in which a device adds."""

import torch

from selfstorm.compute.scatter import add_at


def test_sums_are_the_same_in_any_order():
    generator = torch.Generator().manual_seed(3)
    places = torch.randint(0, 50, (20_000,), generator=generator)
    values = torch.rand(20_000, generator=generator) * 10 ** torch.randint(-3, 4, (20_000,), generator=generator)
    order = torch.randperm(20_000, generator=generator)
    shuffled = places[order], values[order]
    assert not torch.equal(
        add_at(torch.zeros(50), places, values), add_at(torch.zeros(50), *shuffled)
    )  # what is at stake
    one, other = (add_at(torch.zeros(50), *given, ordered=False) for given in ((places, values), shuffled))
    assert torch.equal(one, other)
    exact = torch.zeros(50, dtype=torch.float64).scatter_add_(0, places, values.double())
    assert torch.allclose(one.double(), exact, rtol=1e-7, atol=1e-4)
    assert one.dtype == torch.float32


def test_negative_lobes_are_added_too():
    assert add_at(torch.zeros(2), torch.tensor([1, 1, 0]), torch.tensor([-2.5, 1.0, 4.0]), ordered=False).tolist() == [
        4.0,
        -1.5,
    ]
