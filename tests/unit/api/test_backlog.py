"""The answer of /backlog: one number to scale by, with a ceiling."""

from typing import cast

import falcon
import pytest
from gevent.event import Event

from dtqs.api import backlog
from dtqs.api.access.auth import Auth
from dtqs.api.backlog import COUNT_LIMIT, BacklogResource, refuse_unknown, summary
from dtqs.errors import Invalid
from dtqs.store.backlog import Counts


def test_the_number_is_what_is_due_and_in_progress() -> None:
    counts = Counts([("echo", 3, 2), ("image", 1, 0)], True)
    assert summary(counts, {"all": ((), False), "some": (("image",), True)}) == {
        "backlog": 6,
        "due": 4,
        "in_progress": 2,
        "capped": False,
        "task_types": {"echo": {"due": 3, "in_progress": 2}, "image": {"due": 1, "in_progress": 0}},
        "pools": {
            "all": {"backlog": 6, "due": 4, "in_progress": 2, "capped": False},
            "some": {"backlog": 1, "due": 1, "in_progress": 0, "capped": False},
        },
    }
    assert summary(Counts([], True), {})["backlog"] == 0


def test_a_long_backlog_is_capped() -> None:
    found = summary(Counts([("echo", COUNT_LIMIT + 1, 5)], False), {"media": (("image",), True)})
    assert (found["backlog"], found["due"], found["capped"]) == (COUNT_LIMIT + 5, COUNT_LIMIT, True)
    assert found["pools"] == {"media": {"backlog": 1, "due": 0, "in_progress": 0, "capped": True}}


def test_a_type_that_may_wait_behind_others_gets_a_worker() -> None:
    found = summary(Counts([], False), {})
    assert (found["backlog"], found["due"], found["capped"]) == (1, 0, True)
    assert summary(Counts([("image", 0, 3)], False), {})["backlog"] == 3


def test_a_count_that_takes_long_is_refused_in_time_and_its_result_serves_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "LIMIT_SECONDS", 0.01)
    frozen, counts = Event(), 0

    def count(_types: object, _limit: int) -> Counts:
        nonlocal counts
        counts += 1
        assert frozen.wait(10)
        return Counts([("echo", 3, 0)], True)

    no_auth = cast("Auth", None)  # not asked here
    resource = BacklogResource(no_auth, count, {}, ("echo",))
    for _ in range(2):
        with pytest.raises(falcon.HTTPServiceUnavailable, match="503"):
            resource.counted(())
    frozen.set()
    monkeypatch.setattr(backlog, "LIMIT_SECONDS", 10)
    answer, _ = resource.counted(())
    assert (answer["backlog"], counts) == (3, 1)


def test_a_mistyped_type_is_refused_and_one_that_only_another_node_knows_is_not() -> None:
    refuse_unknown(["echo", "theirs"], ["echo", "video"], ["theirs"])
    with pytest.raises(Invalid) as refused:
        refuse_unknown(["vidoe", "echo"], ["echo", "video"], [])
    (problem,) = refused.value.problems
    assert (problem.field, problem.message) == (
        "task_type",
        "no such task type: vidoe; did you mean video?; known: echo, video",
    )
