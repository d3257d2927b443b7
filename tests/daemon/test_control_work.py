"""Control stays ready whatever clients ask: the work of requests is limited, and nothing is done twice."""

from types import SimpleNamespace

import numpy as np
import pytest

from daemon.control import request_handler, server
from daemon.control.request_handler import VIEWED_PX_AT_ONCE, VIEWED_PX_HZ, RequestHandler
from daemon.control.server import KEPT_S, MAX_ANSWERS_KEPT, ControlServer
from daemon.control.work_budget import WorkBudget
from daemon.health import Health
from daemon.keys.permissions import Permissions
from daemon.protocol.codec import decode, encode
from daemon.protocol.messages import PictureHeader, Request
from daemon.protocol.verbs import RefusedRequestError

SIDE = 1000


def picture(side):
    numbers = {"window": 0, "first_seq": 0, "last_seq": 9, "frames": 10, "published_unix_ns": 1}
    header = PictureHeader(run="run", stream="stream-1", shape=(side, side), **numbers)
    return header, np.zeros((side, side), np.float32)


@pytest.fixture
def work(monkeypatch):
    """A handler of requests, its clock, and the pixels of the views that it made."""
    now, viewed, view_of = [0.0], [], request_handler.view_of

    def counted(request_id, kind, picture, region, wanted):
        viewed.append(region.height * region.width)
        return view_of(request_id, kind, picture, region, wanted)

    monkeypatch.setattr(request_handler, "view_of", counted)
    monkeypatch.setattr(request_handler, "WorkBudget", lambda *limits: WorkBudget(*limits, clock=lambda: now[0]))
    parts = dict.fromkeys(("live", "queue", "recording", "snapshots", "model", "stream", "stop_service"))
    publisher = SimpleNamespace(last={kind: picture(SIDE) for kind in ("sr.refined", "raw.mean")})
    handler = RequestHandler(**parts, health=Health(run="run"), publisher=publisher)
    return SimpleNamespace(handler=handler, now=now, viewed=viewed, publisher=publisher)


def ask_until_refused(work, count, **arguments):
    """Ask for a view so often; return how many were made."""
    made = 0
    for number in range(count):
        try:
            work.handler.answer(Request(id=str(number), verb="view", arguments=arguments), "view")
            made += 1
        except RefusedRequestError as refusal:
            assert "too many pixels are viewed" in str(refusal)  # noqa: PT017
    return made


@pytest.mark.parametrize(
    "arguments",
    [{}, {"codec": "raw"}, {"zoom": 1000}, {"kind": "raw.mean"}, {"region": [0, 0, 16_384, 16_384]}, {"zoom": 7}],
)
def test_however_many_views_are_asked_for_few_pixels_are_worked_on(work, arguments):
    ask_until_refused(work, 300, **arguments)
    assert sum(work.viewed) == VIEWED_PX_AT_ONCE
    assert decode(work.handler.answer(Request(id="1", verb="status"), "view")).message.ok
    work.now[0] += 1.0
    ask_until_refused(work, 300, **arguments)
    assert sum(work.viewed) <= VIEWED_PX_AT_ONCE + VIEWED_PX_HZ


def test_tiny_views_are_limited_too(work):
    assert ask_until_refused(work, 2000, region=[0, 0, 1, 1]) == VIEWED_PX_AT_ONCE / request_handler.MIN_VIEW_PX


def test_a_picture_larger_than_the_budget_can_be_viewed_now_and_then(work):
    work.publisher.last["sr.refined"] = picture(4000)
    assert ask_until_refused(work, 10) == 1
    work.now[0] += 0.9
    assert ask_until_refused(work, 10) == 0
    work.now[0] += 0.1
    assert ask_until_refused(work, 10) == 1


def test_what_is_refused_costs_nothing(work):
    ask_until_refused(work, 300)
    work.now[0] += SIDE * SIDE / VIEWED_PX_HZ
    assert ask_until_refused(work, 5) == 1


@pytest.fixture
def asked(monkeypatch):
    """Answers of a control server without a socket, its clock, and the requests that were carried out."""
    now, done = [0.0], []
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def answer(request, role):
        done.append(request.id)
        return encode("reply", server.Reply(id=request.id, ok=True, result={"number": len(done)}))

    control = ControlServer("tcp://127.0.0.1:*", Health(run="run"), SimpleNamespace(answer=answer))
    peer = Permissions("client", may_control=True)

    def ask(number, verb="mark", connection=None):
        request = encode("request", Request(id=f"id-{number}", verb=verb))
        parts = control._answer(connection or str(number).encode(), peer, [bytes(part) for part in request])
        return decode([bytes(part) for part in parts]).message

    return SimpleNamespace(ask=ask, now=now, done=done)


@pytest.mark.parametrize("others", [0, 256, 300, 2000])
def test_a_request_is_done_once_however_many_others_come_before_it_is_repeated(asked, others):
    first = asked.ask(0)
    for number in range(1, others + 1):
        asked.ask(number)
    assert asked.ask(0) == first
    assert asked.done.count("id-0") == 1


def test_requests_that_only_look_push_out_no_answer(asked):
    first = asked.ask(0)
    for number in range(1, 3 * MAX_ANSWERS_KEPT):
        asked.ask(number, verb="status")
    assert asked.ask(0) == first


def test_answers_are_kept_for_a_minute_and_more_changes_are_refused_in_words(asked):
    assert all(asked.ask(number).ok for number in range(MAX_ANSWERS_KEPT))
    refused = asked.ask(MAX_ANSWERS_KEPT)
    assert (refused.ok, refused.error) == (False, f"more than {MAX_ANSWERS_KEPT} changes within {KEPT_S:.0f} s")
    assert asked.ask("looking", verb="status").ok
    asked.now[0] += KEPT_S + 1
    assert asked.ask(MAX_ANSWERS_KEPT).ok
    assert len(asked.done) == MAX_ANSWERS_KEPT + 2
