"""The metric table: levels, sentences, measuring; what is declared once is right everywhere."""

import subprocess
import sys

import msgpack
import pytest

from daemon.protocol.codec import decode, encode
from daemon.protocol.messages import VERSION, MetricDescriptions
from selfstorm.metrics.delivery import Delivery
from selfstorm.metrics.finding import Finding, worst_level
from selfstorm.metrics.metric import Metric, MetricDescription
from selfstorm.metrics.metric_table import MetricRegistry
from selfstorm.metrics.registry import METRICS

SHARPNESS = Metric(
    key="sharpness",
    label="Sharpness",
    unit="nm",
    digits=1,
    better="lower",
    warn=10.0,
    bad=20.0,
    margin=1.0,
    meaning="How sharp edges are.",
    warning="Edges are {value} wide.",
    hint="Focus.",
    unjudged=("density",),
    measure=lambda evidence: evidence,
)


@pytest.mark.parametrize(("value", "level"), [(9.0, "good"), (10.0, "good"), (10.1, "warning"), (20.1, "bad")])
def test_lower_is_better(value, level):
    assert SHARPNESS.level(value) == level


@pytest.mark.parametrize(("value", "level"), [(0.99, "good"), (0.9, "good"), (0.89, "warning"), (0.69, "bad")])
def test_higher_is_better(value, level):
    assert METRICS["agreement"].level(value) == level


def test_a_level_improves_only_with_a_margin():
    levels, level = [], "good"
    for value in (9.5, 10.5, 9.5, 9.1, 8.9, 21.0, 19.5, 18.5, 8.0):
        level = SHARPNESS.level(value, level)
        levels.append(level)
    assert levels == ["good", "warning", "warning", "warning", "good", "bad", "bad", "warning", "good"]


def test_a_finding_says_the_value_and_what_to_do():
    assert SHARPNESS.finding(12.34) == Finding("Sharpness", "12.3 nm", "warning", "Edges are 12.3 nm wide.", "Focus.")
    assert SHARPNESS.finding(12.34).explanation == "Edges are 12.3 nm wide. Focus."
    assert SHARPNESS.finding(5.0) == Finding("Sharpness", "5.0 nm", "good", "How sharp edges are.")


def test_an_estimate_that_a_metric_does_not_apply_to_is_not_judged():
    finding = SHARPNESS.finding(50.0, "density")
    assert (finding.value, finding.level) == ("50.0 nm", "none")
    assert not METRICS.cautions({"agreement": 0.3}, "density")
    assert METRICS.cautions({"agreement": 0.3}, "fused")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("latency_ms", 83.2, "83 ms"),
        ("latency_ms", 2900.0, "2.9 s"),
        ("misfit", 0.123, "12.3 %"),
        ("resolution_nm", 47.4, "47 nm"),
        ("agreement", 0.98765, "0.988"),
        ("emitters_per_frame", 12.345, "12.3"),
    ],
)
def test_values_are_shown_with_their_unit(key, value, text):
    assert METRICS[key].text(value) == text


def test_a_sentence_from_outside_is_text_and_no_program():
    meddled = MetricDescription(
        key="a", label="A", better="lower", warn=0.0, warning="{value.__class__} {0} %s {value}"
    )
    assert meddled.finding(1.0).why == "{value.__class__} {0} %s 1"


def test_what_cannot_be_measured_is_left_out():
    table = MetricRegistry(
        (
            SHARPNESS,
            Metric(key="none", label="None", measure=lambda _: None),
            Metric(key="nan", label="NaN", measure=lambda _: float("nan")),
            Metric(key="slow", label="Slow", costly=True, measure=lambda _: 1.0),
            Metric(key="late", label="Late", of="delivery", measure=lambda _: 2.0),
        )
    )
    assert table.measure("picture", 7, costly=False) == {"sharpness": 7.0}
    assert table.measure("picture", 7) == {"sharpness": 7.0, "slow": 1.0}
    assert table.measure("delivery", 7) == {"late": 2.0}


def test_delivery_is_measured_by_the_functions_the_table_names():
    delivery = Delivery(last_frame_unix_ns=0, published_unix_ns=80_000_000, frames=90, missing=10)
    assert METRICS.measure("delivery", delivery) == {"latency_ms": 80.0, "missing": 0.1}


def test_every_function_that_the_table_names_exists():
    for metric in (one for one in METRICS if one.measure is not None):
        with pytest.raises(AttributeError):  # called, and nothing of it is there
            MetricRegistry((metric,)).measure(metric.of, object())


def test_a_metric_goes_over_the_wire_without_its_function():
    [_, sent] = encode("metrics", MetricDescriptions(metrics=(SHARPNESS,)))
    assert b"measure" not in sent
    [received] = decode([b"metrics", sent]).message.metrics
    assert received.finding(12.34) == SHARPNESS.finding(12.34)


def test_a_function_named_by_a_message_is_ignored():
    header = msgpack.packb({"v": VERSION, "metrics": [{"key": "a", "label": "A", "measure": "os:getcwd"}]})
    [received] = decode([b"metrics", header]).message.metrics
    assert not hasattr(received, "measure")


def test_the_worst_level_is_found():
    assert worst_level(()) == "none"
    assert worst_level((SHARPNESS.finding(1.0), SHARPNESS.finding(30.0), SHARPNESS.finding(15.0))) == "bad"


def test_a_viewer_reads_the_table_without_torch():
    line = "import sys, selfstorm.metrics.registry; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0
