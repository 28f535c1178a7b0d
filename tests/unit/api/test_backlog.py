"""The answer of /backlog: one number to scale by, with a ceiling."""

import pytest

from dtqs.api.backlog import COUNT_LIMIT, refuse_unknown, summary
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


def test_a_mistyped_type_is_refused_and_one_that_only_another_node_knows_is_not() -> None:
    refuse_unknown(["echo", "theirs"], ["echo", "video"], ["theirs"])
    with pytest.raises(Invalid) as refused:
        refuse_unknown(["vidoe", "echo"], ["echo", "video"], [])
    (problem,) = refused.value.problems
    assert (problem.field, problem.message) == (
        "task_type",
        "no such task type: vidoe; did you mean video?; known: echo, video",
    )
