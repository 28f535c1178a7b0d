"""The time at which a slot may fork again."""

import pytest

from dtqs.config import SupervisorSection
from dtqs.supervisor.restart import Restart, restart_delay_seconds

SECTION = SupervisorSection(restart_base_seconds=0.1, restart_max_seconds=5.0, young_seconds=10.0)


def test_after_its_first_early_death_a_child_is_replaced_at_once() -> None:
    assert Restart().after_death(0.5, 100.0, SECTION) == Restart(1, 100.0)


def test_waits_are_spread_so_that_children_do_not_return_all_at_once() -> None:
    ends = {Restart(3).after_death(0.5, 100.0, SECTION).not_before for _ in range(50)}
    assert len(ends) > 40
    assert min(ends) >= 100.4
    assert max(ends) <= 100.5


def test_a_slot_whose_children_are_never_ready_is_given_up_and_tried_rarely_until_one_is_ready() -> None:
    restart = Restart()
    for _ in range(SECTION.restart_limit):
        assert not restart.given_up(SECTION)
        restart = restart.after_death(60.0, 100.0, SECTION, ready=False)  # a child that hangs at its start lives long
    assert restart.given_up(SECTION)
    assert 150.0 <= restart.not_before <= 162.5
    assert not restart.after_ready().given_up(SECTION)


def test_a_failed_fork_does_not_count_against_the_slot() -> None:
    assert Restart(2, 0.0, 5).after_failed_fork(100.0, SECTION).unready == 5


def test_early_deaths_in_a_row_double_the_wait_up_to_the_limit() -> None:
    assert [restart_delay_seconds(young, SECTION) for young in range(8)] == pytest.approx(
        [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    )
    assert restart_delay_seconds(100_000, SECTION) == 5.0


def test_a_child_that_lived_for_a_while_is_restarted_at_once_and_resets_the_count() -> None:
    assert Restart(7, 90.0).after_death(10.1, 100.0, SECTION) == Restart(0, 100.0)


def after_deaths(count: int, section: SupervisorSection = SECTION) -> Restart:
    restart = Restart()
    for _ in range(count):
        restart = restart.after_task_death(100.0, section, soon=True, lived_seconds=0.5)
    return restart


def test_a_slot_whose_tasks_kill_its_workers_is_filled_at_once_and_takes_tasks_with_growing_delay() -> None:
    section = SupervisorSection()
    waits = [after_deaths(deaths, section).wait_seconds for deaths in range(1, 12)]
    bases = [0, 0, 0.25, 0.5, 1, 1, 1, 1, 1, 1, 1]
    assert all(base <= wait <= base * 1.25 for base, wait in zip(bases, waits, strict=True)), waits
    assert after_deaths(100_000).wait_seconds <= SECTION.restart_max_seconds * 1.25
    assert after_deaths(5).not_before == 100.0
    assert len({after_deaths(5).wait_seconds for _ in range(50)}) > 40, "the waits are spread"


def test_a_finished_task_and_a_worker_that_lived_for_a_while_end_the_delay() -> None:
    slow = after_deaths(5)
    assert (
        slow.after_ready().after_request(100.0, 0.5, SECTION).after_failed_fork(100.0, SECTION).wait_seconds
        == slow.wait_seconds
    )
    assert slow.after_death(0.5, 100.0, SECTION).wait_seconds == slow.wait_seconds
    for end in (
        slow.after_work(),
        slow.after_task_death(100.0, SECTION, soon=False, lived_seconds=0.5),
        slow.after_death(10.1, 100.0, SECTION),
    ):
        assert (end.fruitless, end.wait_seconds) == (0, 0.0)


def test_a_requested_end_of_a_young_child_changes_no_count() -> None:
    assert Restart(3, 90.0).after_request(100.0, 9.0, SECTION) == Restart(3, 100.0)
    assert Restart(3, 90.0).after_task_death(100.0, SECTION, False, 9.0) == Restart(3, 100.0)


def test_any_end_of_a_child_that_lived_for_a_while_resets_the_count_of_young_deaths() -> None:
    """A worker may end by its `max_tasks`, a reload or its tasks for months, and then die young once."""
    slow = after_deaths(5)
    assert Restart(9, 90.0, 2).after_request(100.0, 10.1, SECTION) == Restart(0, 100.0, 2)
    assert Restart(9, 90.0, 2).after_task_death(100.0, SECTION, False, 10.1) == Restart(0, 100.0, 2)
    assert slow.after_request(100.0, 10.1, SECTION).wait_seconds == slow.wait_seconds
