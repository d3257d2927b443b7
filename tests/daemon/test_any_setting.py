"""Anything that a setting's type allows may be set on a live daemon: pictures come back once it is set back."""

import random
import types
from contextlib import suppress
from typing import Literal, Union, get_args, get_origin

import annotated_types
import pytest
from daemon_process import DEADLINE_S, Daemon, simulated, wait_until

from daemon.config import Config
from daemon.control.client import ControlClient
from daemon.live_config import SETTABLE
from selfstorm.errors import InputError
from selfstorm.frames import Region

SEED, ROUNDS, KEYS_A_ROUND = 3, 6, 3
ENDED_ALL = [  # what once left no picture, for long or for ever
    {"reconstruction.stride": 100_000},
    {"reconstruction.window": 100_000, "reconstruction.stride": 1},
    {"reconstruction.region": [0, 0, 3, 3]},
]


def values_of(annotation, rules, rng):
    """Values at and within the bounds of a type, and None."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [None] + [
            value for one in get_args(annotation) if one is not type(None) for value in values_of(one, rules, rng)
        ]
    if hasattr(annotation, "__metadata__"):
        inner = [rule for one in annotation.__metadata__ for rule in getattr(one, "metadata", [one])]
        return values_of(annotation.__origin__, [*rules, *inner], rng)
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is Region:
        return [[0, 0, 4, 4], [0, 0, 32, 32], [28, 28, 4, 4], [0, 0, 4, 32], [0, 0, 16_384, 16_384], [31, 31, 1, 1]]
    low = next((rule.ge if isinstance(rule, annotated_types.Ge) else rule.gt for rule in rules if is_low(rule)), -1e9)
    high = next((rule.le for rule in rules if isinstance(rule, annotated_types.Le)), 1e9)
    if annotation is int:
        return [int(low), int(high), rng.randint(int(low), int(high)), int(low) + 1]
    return [low, high, low + 1e-9, rng.uniform(low, high), low + (high - low) * 1e-3, 0.0]


def is_low(rule):
    return isinstance(rule, annotated_types.Ge | annotated_types.Gt)


def anything(rng):
    """A few settings, each with any value of its type."""
    changes = {}
    for key in rng.sample(SETTABLE, KEYS_A_ROUND):
        section, name = key.split(".")
        field = Config.model_fields[section].annotation.model_fields[name]
        changes[key] = rng.choice(values_of(field.annotation, field.metadata, rng))
    return changes


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with (
        Daemon(tmp_path_factory.mktemp("any"), simulated(window=10, stride=10)) as daemon,
        ControlClient(daemon.started().control, 30_000) as control,
    ):
        daemon.published(1)
        yield daemon, control


def test_every_setting_has_values_to_try():
    rng = random.Random(SEED)
    for key in SETTABLE:
        section, name = key.split(".")
        field = Config.model_fields[section].annotation.model_fields[name]
        assert len(set(map(str, values_of(field.annotation, field.metadata, rng)))) >= 2, key


@pytest.mark.parametrize(
    "changes", [*ENDED_ALL, *(anything(random.Random(SEED * 1000 + number)) for number in range(ROUNDS))], ids=str
)
def test_pictures_come_back_whatever_was_set(live, changes):
    daemon, control = live
    good = control.ask("info")["settings"]
    with suppress(InputError):  # what cannot be computed is refused in words
        control.ask("set", changes=changes)
    frames = daemon.status().frames.received

    def frames_came():
        return daemon.status().frames.received > frames + 20

    wait_until(frames_came)
    control.ask("set", changes=good)
    assert control.ask("info")["settings"] == good
    published = daemon.status().windows.published

    def pictures_are_back():
        return daemon.status().windows.published > published + 1

    wait_until(pictures_are_back, 2 * DEADLINE_S)
    assert daemon.status().state == "running"
