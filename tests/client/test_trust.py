"""The picture in the trust strip: when a lamp turns, and what it says. Pure."""

from dataclasses import replace

import pytest
from client_stream import header, pixels
from trust_states import ENDPOINT, WELL, lamp, said, seen, verdict, with_picture, with_preview

from client.state import ViewerState, reduce_message
from client.timeline.playhead import seek
from client.trust.freshness import past_text
from client.trust.indicators import indicators, note
from daemon.protocol.codec import Received
from daemon.protocol.findings import metric_findings
from daemon.protocol.messages import FrameCounts, MetricDescriptions
from selfstorm.metrics.metric import MetricDescription
from selfstorm.metrics.registry import METRICS


def test_all_is_well_and_is_said_so():
    values = {"misfit": 0.01, "latency_ms": 80.0, "emitters_per_frame": 9.0, "fidelity": 0.9, "saturated": 0.0}
    state = with_picture(seen(said(model_state="warm")), metrics=values)
    levels = {one.name: one.level for one in indicators(state, 0.0)}
    assert levels.pop("Fidelity") == "none"
    assert set(levels.values()) == {"good"}, levels
    assert verdict(state)[1].startswith("All is well")


def test_every_lamp_keeps_its_place_whatever_is_known():
    names = [one.name for one in indicators(with_picture(seen(said())), 0.0)]
    assert [one.name for one in indicators(ViewerState(ENDPOINT), 0.0)] == names
    assert [one.name for one in indicators(with_picture(seen(said())), 99.0)] == names


@pytest.mark.parametrize(("latency_ms", "level"), [(80.0, "good"), (6_000.0, "warning"), (52_000.0, "bad")])
def test_latency_is_that_of_the_picture_shown(latency_ms, level):
    state = with_picture(seen(said()), metrics={"latency_ms": 100.0})
    state = with_picture(state, window=1, metrics={"latency_ms": latency_ms})
    assert lamp(state, "Latency").level == level
    back = replace(state, playhead=seek(state.playhead, state.history, 0))
    assert lamp(back, "Latency").value == "100 ms"
    for kind in ("sr.preview", "raw.mean"):
        one = header(kind, 2, metrics={"latency_ms": 40.0}, grade="preview")
        state = reduce_message(state, Received(kind, one, pixels(one.shape)), 0.0)
    assert lamp(state, "Latency").value == "40 ms"  # not of the refined picture before it


@pytest.mark.parametrize(("misfit", "level"), [(0.01, "good"), (0.15, "warning"), (0.5, "bad")])
def test_a_misfit_says_what_to_check(misfit, level):
    one = lamp(with_picture(seen(said()), metrics={"misfit": misfit}), "Misfit")
    assert one.level == level
    assert ("Check pixel size" in one.hint) == (level != "good")


@pytest.mark.parametrize(("agreement", "level"), [(0.99, "good"), (0.9, "good"), (0.85, "warning"), (0.6, "bad")])
def test_a_picture_that_disagrees_with_the_camera_says_what_to_check(agreement, level):
    one = lamp(with_picture(seen(said()), metrics={"agreement": agreement}), "Agreement")
    assert (one.level, one.value) == (level, f"{agreement:.3f}")
    assert ("Check pixel size" in one.hint) == (level != "good")


def test_what_the_daemon_estimates_has_a_lamp_once_it_does_and_keeps_it():
    known = with_picture(seen(said()))
    assert not {"Resolution", "Agreement"} & {one.name for one in indicators(known, 0.0)}
    known = with_picture(known, window=1, metrics={"resolution_nm": 47.4, "agreement": 0.98})
    names = [one.name for one in indicators(known, 0.0)]
    assert [one for one in names if one in ("Resolution", "Agreement")] == ["Resolution", "Agreement"]
    assert lamp(known, "Resolution").value == "47 nm"
    assert [one.name for one in indicators(with_picture(known, window=2), 0.0)] == names
    assert [one.name for one in indicators(known, 99.0)] == names


def test_the_gravest_comes_first():
    state = with_picture(seen(said(rate_hz=0.0, model_state="cold")), metrics={"misfit": 0.5})
    level, text = verdict(state)
    assert level == "bad"
    assert "No frames arrive" in text
    assert "unexplained" in text
    assert "Nothing was known" not in text


def test_the_sentence_explains_two_findings_and_names_the_others():
    lossy = FrameCounts(sent=9_000, received=4_000, missing=4_000, lost_at_source=1_000, used=3_000, rejected=1_000)
    state = with_picture(seen(said(rate_hz=0.0, frames=lossy)), metrics={"misfit": 0.5})
    level, text = verdict(state)
    assert (level, text.split("   ·   ")[2:]) == ("bad", ["also Rejected, Misfit"])


def test_looking_back_is_said_and_never_that_all_is_well():
    state = with_picture(seen(said(sent_unix_ns=0, model_state="warm")), metrics={"misfit": 0.01}, published_unix_ns=1)
    state = with_picture(state, window=1, metrics={"misfit": 0.01}, published_unix_ns=9 * 10**9 + 1)
    state = replace(state, playhead=seek(state.playhead, state.history, 0))
    assert past_text(state) == "9 s"
    level, text = verdict(state)
    assert level == "none"
    assert "End" in text


def test_a_preview_is_said_and_never_that_all_is_well():
    state = seen(said(model_state="warm"))
    for kind in ("sr.preview", "raw.mean"):
        one = header(kind, metrics={"misfit": 0.01})
        state = reduce_message(state, Received(kind, one, pixels(one.shape)), 0.0)
    assert "refined picture" in verdict(state)[1]
    assert note(with_picture(state)) == ""


def test_beside_a_preview_the_values_of_the_refined_picture_before_are_in_brackets():
    metrics = {"misfit": 0.02, "fidelity": 0.9, "emitters_per_frame": 9.0}
    known = with_picture(seen(said(model_state="warm")), metrics=metrics)
    state = with_preview(known, 1, metrics={"misfit": 0.08, "latency_ms": 40.0})
    assert state.newest.sr.preview
    assert (lamp(state, "Misfit").value, lamp(state, "Misfit").level) == ("(2.0 %)", "good")
    assert lamp(state, "Verdict").value == "(good)"
    for name in ("Misfit", "Verdict"):
        assert lamp(state, name).why.startswith("Of window 0, the refined picture before this preview: ")
    assert (lamp(state, "Window").value, lamp(state, "Latency").value) == ("1", "40 ms")
    assert note(state).endswith("Values in brackets are of window 0.")
    assert lamp(known, "Misfit").value == "2.0 %"


def test_a_preview_after_a_reduced_picture_has_no_verdict_of_that_one():
    state = with_preview(with_picture(seen(said()), grade="reduced", effort="emitters"), 1)
    assert lamp(state, "Verdict").explanation.startswith("Of window 0, the refined picture before this preview: Not")


def test_the_first_preview_of_a_run_has_no_values_of_the_run_before():
    known = with_picture(seen(said()), run="before", metrics={"misfit": 0.5})
    state = seen(said(run="after"), state=with_preview(known, 1, run="after"))
    assert state.newest.sr.header.run == "after"
    assert lamp(state, "Misfit").value == lamp(state, "Verdict").value == "–"


@pytest.mark.parametrize(("grade", "effort"), [("reduced", "emitters"), ("quick", "quick density")])
def test_reduced_quality_is_never_all_well_and_says_what_to_do(grade, effort):
    known = seen(said(model_state="warm", source="micromanager:"))
    state = with_picture(known, metrics=WELL, grade=grade, effort=effort)
    one = lamp(state, "Quality")
    assert (one.value, one.level) == (grade.upper(), "warning")
    assert f"'{effort}'" in one.why
    assert "smaller region" in one.hint
    assert verdict(state)[0] == "warning"
    assert lamp(with_picture(known, metrics=WELL), "Quality").value == "FULL"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("micromanager:", "2.9 s behind the camera"),
        ("replay:cell.tif", "A recording is being played back"),
        ("ndtiff:run", "A recording is being played back"),
        ("simulate:", "a simulation, not a microscope"),
    ],
)
def test_what_a_picture_shows_depends_on_the_source(source, words):
    text = verdict(with_picture(seen(said(model_state="warm", source=source)), metrics=WELL))[1]
    assert words in text
    assert "All is well" in text
    assert "sees now" not in text


def test_a_misfit_of_a_reduced_picture_is_blamed_on_its_quality():
    state = with_picture(seen(said()), metrics={"misfit": 0.5}, grade="reduced", effort="density")
    one = lamp(state, "Misfit")
    assert one.level == "warning"
    assert "reduced to 'density'" in one.hint
    assert "optics" not in one.hint


@pytest.mark.parametrize(
    ("metrics", "name", "advice"),
    [
        ({"saturated": 0.05}, "Saturated", "Lower the laser power"),
        ({"defocus": 1.6}, "Focus", "Refocus"),
        ({"saturated": 0.05, "fidelity": 0.2, "emitters_per_frame": 9.0}, "Verdict", "Lower the laser power"),
    ],
)
def test_what_quality_does_not_explain_keeps_its_advice_in_a_reduced_picture(metrics, name, advice):
    one = header("sr.refined", 0, metrics=metrics, grade="reduced", effort="emitters")
    found = next(each for each in metric_findings(METRICS, one) if each.name == name)
    assert found.level == "bad"
    assert advice in found.hint
    assert "Quality was reduced" not in found.hint


def test_a_metric_near_its_threshold_does_not_flicker():
    state, levels = seen(said()), []
    for window, misfit in enumerate((0.095, 0.105, 0.095, 0.095, 0.085)):
        state = with_picture(state, window=window, metrics={"misfit": misfit})
        levels.append(lamp(state, "Misfit").level)
    assert levels == ["good", "warning", "warning", "warning", "good"]


def test_what_a_reduced_level_does_not_measure_is_said_to_be_unknown():
    state = with_picture(seen(said()), metrics={"agreement": 0.99})
    state = with_picture(state, window=1, metrics={"misfit": 0.01}, grade="reduced", effort="density")
    one = lamp(state, "Agreement")
    assert (one.value, one.level) == ("–", "none")
    assert "Not measured for this picture" in one.why


def test_a_preview_is_no_reason_for_caution():
    state = seen(said(model_state="warm"))
    for kind in ("sr.preview", "raw.mean"):
        one = header(kind, metrics={"misfit": 0.6, "latency_ms": 40.0}, grade="preview", effort="preview")
        state = reduce_message(state, Received(kind, one, pixels(one.shape)), 0.0)
    assert lamp(state, "Quality").value == "PREVIEW"
    assert not [one for one in indicators(state, 0.0) if one.serious]
    assert lamp(state, "Latency").value == "40 ms"
    judged = metric_findings(METRICS, one)  # what the terminal and `status` print
    assert {one.name: one.level for one in judged} == {"Misfit": "none", "Latency": "good"}


def test_a_metric_without_thresholds_is_shown_but_not_called_good():
    state = with_picture(seen(said()), metrics={"free": 0.2})
    described = MetricDescription(key="free", label="Free")
    state = reduce_message(state, Received("metrics", MetricDescriptions(metrics=(described,))), 0.0)
    assert (lamp(state, "Free").value, lamp(state, "Free").level) == ("0.2", "none")


def test_metrics_are_those_that_the_daemon_describes():
    other = MetricDescription(
        key="other", label="Other", better="lower", warn=1.0, warning="{value} is bad.", hint="Go."
    )
    state = reduce_message(seen(said()), Received("metrics", MetricDescriptions(metrics=(other,))), 0.0)
    state = with_picture(state, metrics={"other": 2.0, "misfit": 0.5})
    assert lamp(state, "Other").explanation == "2 is bad. Go."
    assert "Misfit" not in {one.name for one in indicators(state, 0.0)}


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ({"estimate": "density"}, "Choose Daemon > Settings > Estimate: fused."),
        ({"estimate": "density", "grade": "quick"}, "with Daemon > Settings > Estimate: fused"),
        ({"estimate": "fused", "grade": "reduced"}, "A longer stride or a smaller region keeps full quality."),
    ],
)
def test_a_picture_without_a_verdict_says_what_brings_one(other, remedy):
    state = with_picture(seen(said()), **other)
    assert remedy in lamp(state, "Verdict").explanation
    assert "lower quality" not in lamp(state, "Quality").explanation


def test_a_reduced_picture_says_when_full_quality_returns():
    slow = with_picture(seen(said()), grade="reduced", effort="density")
    assert "returns by itself when there is time" in lamp(slow, "Quality").hint
    soon = with_picture(seen(said()), grade="reduced", effort="density, catching up")
    assert "within about one window" in lamp(soon, "Quality").hint


def test_a_pattern_is_not_blinking_at_every_level_of_quality():
    state = with_picture(seen(said()), metrics={"far_correlation": 0.9}, grade="quick", effort="quick density")
    one = lamp(state, "Verdict")
    assert (one.value, one.level) == ("not blinking", "bad")
    assert "quality" not in one.explanation.lower()
    assert "labels that blink" in verdict(state)[1]


def test_looking_back_the_window_is_that_in_view():
    state = seen(said())
    for window in range(3):
        state = with_picture(state, window=window, published_unix_ns=window * 10**9)
    back = replace(state, playhead=seek(state.playhead, state.history, 1))
    assert [lamp(one, "Window").value for one in (state, back)] == ["2", "1"]
