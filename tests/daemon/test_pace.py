"""Less is made of a window when the camera is faster than the worker, and all of it again when the load is gone."""

from dataclasses import replace

import pytest

from daemon.processing.load_control import INITIAL_COSTS, LoadController, Workload
from selfstorm.stages.density import QUICK_ITERATIONS
from selfstorm.stream.processing_level import ProcessingLevel, degradation_ladder

FULL = ProcessingLevel("full", "fused", "fast")
ITERATION_S = 0.002
DEMAND = Workload(new=25, unseen=25, iterations=60, stride=25, stride_s=10.0, psf_update_due=False)


class Machine:
    """Time the steps: `load` times ITERATION_S an iteration; steps in `apart` take that much more than guessed."""

    def __init__(self, load=1.0, **apart):
        self.load, self.apart, self.now_s = load, apart, 0.0

    def clock(self):
        return self.now_s

    def seconds(self, level, demand):
        unit = self.load * ITERATION_S
        record_timing = {"ingest": demand.new, "density": QUICK_ITERATIONS if level.quick else demand.iterations}
        record_timing["ingest"] *= INITIAL_COSTS["ingest"]
        if not level.quick:
            record_timing |= {step: INITIAL_COSTS[step] for step in ("averaging", "preview")}
        if level.optics and demand.psf_update_due:
            record_timing["optics"] = INITIAL_COSTS["optics"]
        if level.estimate != "density" or level.ahead:
            record_timing["emitters"] = demand.unseen * INITIAL_COSTS[f"emitters {level.quality}"]
        if "fused" in (level.estimate, level.ahead):
            record_timing["localizations"] = demand.unseen * INITIAL_COSTS[f"localizations {level.quality}"]
        return {step: unit * iterations * self.apart.get(step, 1.0) for step, iterations in record_timing.items()}


def levels(machine, windows, demand=DEMAND, pace=None, full=FULL, steady=False):
    """The levels of so many windows on that machine."""
    pace = pace or LoadController(full, steady=steady, iteration_s=machine.load * ITERATION_S, clock=machine.clock)
    made = []
    for _ in range(windows):
        made.append(pace.choose_level(demand))
        record_timing = machine.seconds(made[-1], demand)
        pace.record_timing(made[-1], demand, record_timing, demand.unseen if "emitters" in record_timing else 0)
        machine.now_s += max(demand.stride_s, sum(record_timing.values()))
    return made


def names(*arguments, **keywords):
    return [level.name for level in levels(*arguments, **keywords)]


def test_a_worker_that_is_fast_enough_makes_what_was_asked_for():
    assert set(names(Machine(), 20)) == {"full"}


@pytest.mark.parametrize(
    ("stride_s", "name"), [(2.4, "full"), (1.2, "emitters"), (0.6, "density"), (0.25, "quick density")]
)
def test_the_first_step_that_fits_is_taken_from_the_first_window_on(stride_s, name):
    assert set(names(Machine(), 10, replace(DEMAND, stride_s=stride_s))) == {name}


def test_a_step_that_costs_more_than_guessed_is_left():
    made = names(Machine(localizations=4.0), 10, replace(DEMAND, stride_s=2.4))
    assert (made[0], made[-1]) == ("full", "emitters")


def test_every_step_down_is_named_and_does_less():
    steps = degradation_ladder(ProcessingLevel("full", "fused", "best"))
    assert [step.name for step in steps] == ["full", "fast layers", "emitters", "density", "quick density"]
    pace = LoadController(steps[0], steady=False, iteration_s=ITERATION_S)
    costs = [pace.seconds(step, DEMAND) for step in steps]
    assert costs == sorted(costs, reverse=True)


def test_it_recovers_within_two_strides_when_the_rate_drops():
    machine = Machine()
    pace = LoadController(FULL, steady=False, iteration_s=ITERATION_S, clock=machine.clock)
    assert names(machine, 10, replace(DEMAND, stride_s=0.05), pace)[-1] == "quick density"
    assert names(machine, 2, replace(DEMAND, unseen=100), pace)[-1] == "full"


def test_it_recovers_when_another_program_ends():
    machine = Machine(load=20.0)
    pace = LoadController(FULL, steady=False, iteration_s=machine.load * ITERATION_S, clock=machine.clock)
    assert "full" not in names(machine, 10, pace=pace)
    machine.load = 1.0
    assert names(machine, 12, pace=pace)[-1] == "full"


def test_frames_that_were_passed_by_are_caught_up_with_before_more_is_promised():
    """To look at a long window's frames all at once would take many strides."""
    machine, demand = Machine(), replace(DEMAND, stride_s=2.6, unseen=1000)
    pace = LoadController(FULL, steady=False, iteration_s=ITERATION_S, clock=machine.clock)
    first = levels(machine, 1, demand, pace)[0]
    assert (first.name, first.estimate, first.ahead) == ("density, catching up", "density", "fused")
    assert names(machine, 1, replace(demand, unseen=25), pace) == ["full"]


@pytest.mark.parametrize("estimate", ["emitters", "density"])
def test_never_more_than_asked_for(estimate):
    made = levels(Machine(0.01), 30, full=ProcessingLevel("full", estimate, "fast"))
    assert {level.estimate for level in made} == {estimate}


def test_lossless_waits_instead():
    assert set(names(Machine(load=1000), 10, steady=True)) == {"full"}


def test_the_optics_are_looked_at_where_there_is_time_and_now_and_then_where_there_is_not():
    due = replace(DEMAND, psf_update_due=True)
    assert all(level.optics for level in levels(Machine(), 10, due))
    rushed = [level.optics for level in levels(Machine(), 200, replace(due, stride_s=2.4))]
    assert 2 <= sum(rushed) <= 60


def test_windows_in_which_nothing_is_due_do_not_make_it_cheap():
    pace = LoadController(FULL, steady=False, iteration_s=ITERATION_S, clock=Machine().clock)
    for _ in range(50):
        pace.record_timing(FULL, DEMAND, {"optics": 0.0, "claims": 0.0}, 0)
    level = pace.choose_level(replace(DEMAND, psf_update_due=True, claims_due=True, stride_s=2.4))
    assert (level.optics, level.claims) == (False, False)


def test_without_memory_for_more_it_stays_at_the_density():
    pace = LoadController(FULL, steady=False, iteration_s=ITERATION_S)
    pace.at_most("density")
    assert {level.estimate for level in levels(Machine(), 10, pace=pace)} == {"density"}


def test_where_operations_cost_their_launch_steps_are_expected_to_take_that_long():
    """A card does an iteration of a small field in some 20 us; a frame's localizations are sixty launches."""
    fast = LoadController(FULL, steady=False, iteration_s=2e-5)
    card = LoadController(FULL, steady=False, iteration_s=2e-5, launch_s=6e-6)
    assert card.seconds(FULL, DEMAND) > fast.seconds(FULL, DEMAND) + 0.003
    slow = LoadController(FULL, steady=False, iteration_s=1.0, launch_s=6e-6)
    assert slow.seconds(FULL, DEMAND) == LoadController(FULL, steady=False, iteration_s=1.0).seconds(FULL, DEMAND)
