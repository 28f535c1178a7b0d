"""Confirmed hints in little memory: nothing is lost or mixed up within the limit, and nothing grows beyond it."""

from hypothesis import given
from hypothesis import strategies as st

from dtqs.confirmed import Confirmed, ConfirmedHints
from dtqs.id_run import new_ids
from dtqs.task import Due
from dtqs.uuid7 import uuid7

TIMES = ("2026-11-29 12:00:00.000001+00", "2026-11-29 12:00:00.000002+00")


def due(task_id: str, publish_at: str = TIMES[0]) -> Due:
    return Due(task_id, "echo", True, 5, publish_at)


def pairs(confirmed: list[Confirmed]) -> list[tuple[str, str]]:
    return [(task_id, one.publish_at) for one in confirmed for task_id in one.id_list.split(",")]


@given(st.lists(st.lists(st.sampled_from(TIMES), min_size=1, max_size=5), max_size=5))
def test_every_task_keeps_its_own_publish_time(hints: list[list[str]]) -> None:
    noted = ConfirmedHints(1 << 20)
    dues = [[due(uuid7(), at) for at in hint] for hint in hints]
    for members in dues:
        noted.add(members)
    expected = {(one.task_id.replace("-", ""), one.publish_at) for members in dues for one in members}
    assert sorted(pairs(noted.take())) == sorted(expected)
    assert noted.take() == []


def test_the_tasks_of_a_commit_share_one_publish_time() -> None:
    noted = ConfirmedHints(1 << 20)
    for _ in range(3):
        noted.add([due(task_id) for task_id in new_ids(50)])
    (group,) = noted.take()
    assert (group.count, len(group.ids)) == (150, 150 * 16)


def test_tasks_beyond_the_limit_are_dropped_and_later_ones_are_noted_again() -> None:
    noted = ConfirmedHints(1000)
    for _ in range(100):
        noted.add([due(task_id) for task_id in new_ids(50)])
    assert sum(one.count for one in noted.take()) == 50
    noted.add([due(uuid7())])
    assert sum(one.count for one in noted.take()) == 1


def test_a_limit_holds_for_tasks_with_many_publish_times_too() -> None:
    noted = ConfirmedHints(4000)
    for number in range(100):
        noted.add([due(uuid7(), f"2026-11-29 12:00:00.{number:06}+00")])
    assert sum(one.size_bytes for one in noted.take()) < 5000


def test_a_split_loses_no_task() -> None:
    ids = new_ids(5)
    noted = ConfirmedHints(1 << 20)
    noted.add([due(task_id) for task_id in ids])
    (group,) = noted.take()
    first, rest = group.split(2)
    assert rest is not None
    assert pairs([first, rest]) == pairs([group])
    assert (first.count, rest.count) == (2, 3)
    assert group.split(5) == (group, None)
