"""Less is made of a window when the camera is faster than the worker, and all of it again when the load is gone."""

import pytest

from daemon.pace import Pace

STRIDE, STRIDE_S = 25, 1.0
COST_S = {"fused": 0.06, "emitters": 0.02, "density": 0.004}  # a frame


def run(pace, windows, load=1.0):
    """The estimates of so many windows, each looking at a stride's frames on a machine `load` times as slow."""
    made = []
    for _ in range(windows):
        made.append(pace.estimate)
        pace.took(load * COST_S[pace.estimate] * STRIDE, STRIDE, STRIDE, STRIDE_S)
    return made


def test_a_worker_that_is_fast_enough_makes_what_was_asked_for():
    assert set(run(Pace("fused", steady=False), 20, load=0.4)) == {"fused"}


def test_the_first_step_that_fits_is_taken():
    made = run(Pace("fused", steady=False), 6)
    assert made[0] == "fused"
    assert set(made[1:]) == {"emitters"}


def test_a_hopeless_rate_gets_density_and_never_less():
    made = run(Pace("fused", steady=False), 8, load=30)
    assert made[:3] == ["fused", "emitters", "density"]
    assert set(made[2:]) == {"density"}


def test_it_recovers_by_itself():
    pace = Pace("fused", steady=False)
    assert run(pace, 5)[-1] == "emitters"
    assert run(pace, 40, load=0.2)[-1] == "fused"


def test_a_backlog_is_not_mistaken_for_slowness():
    """After a skipped window many frames are new; what counts is a frame's cost."""
    pace = Pace("fused", steady=False)
    assert not pace.took(4.0, 160, STRIDE, STRIDE_S)
    assert pace.estimate == "fused"


@pytest.mark.parametrize("wanted", ["emitters", "density"])
def test_never_more_than_asked_for(wanted):
    assert set(run(Pace(wanted, steady=False), 30, load=0.01)) == {wanted}


def test_lossless_waits_instead():
    assert set(run(Pace("fused", steady=True), 10, load=100)) == {"fused"}
