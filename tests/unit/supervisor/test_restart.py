"""When a slot may be forked again."""

import pytest

from dtqs.config import SupervisorSection
from dtqs.supervisor.restart import Restart, backoff_seconds

SECTION = SupervisorSection(restart_base_seconds=0.1, restart_max_seconds=5.0, young_seconds=10.0)


def test_the_first_young_death_is_followed_at_once() -> None:
    assert Restart().after_death(0.5, 100.0, SECTION) == Restart(1, 100.0)


def test_young_deaths_in_a_row_double_the_wait_up_to_the_most() -> None:
    assert [backoff_seconds(young, SECTION) for young in range(8)] == pytest.approx([0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])
    assert backoff_seconds(100_000, SECTION) == 5.0


def test_a_child_that_lived_for_a_while_is_restarted_at_once_and_forgives_its_predecessors() -> None:
    assert Restart(7, 90.0).after_death(10.1, 100.0, SECTION) == Restart(0, 100.0)


def test_an_end_that_was_asked_for_changes_no_count() -> None:
    assert Restart(3, 90.0).after_request(100.0) == Restart(3, 100.0)
