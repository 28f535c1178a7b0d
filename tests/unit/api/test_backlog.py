"""The answer of /backlog: one number to scale by, with a ceiling."""

from dtqs.api.backlog import COUNT_LIMIT, summary


def test_the_number_is_what_is_due_and_in_progress() -> None:
    assert summary([("echo", 3, 2), ("image", 1, 0)], {"all": ((), False), "some": (("image",), True)}) == {
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
    assert summary([], {})["backlog"] == 0


def test_a_long_backlog_is_capped() -> None:
    found = summary([("echo", COUNT_LIMIT + 1, 5)], {})
    assert (found["backlog"], found["due"], found["capped"]) == (COUNT_LIMIT + 5, COUNT_LIMIT, True)
