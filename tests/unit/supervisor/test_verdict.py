"""The consequence of a child's end as the log tells it."""

import logging

import pytest

from dtqs.config import SupervisorSection
from dtqs.supervisor.restart import Restart
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.verdict import log_consequence
from tests.unit.supervisor.test_roster import make_roster

SECTION = SupervisorSection()


def slowed(by_task: bool) -> SlotState:
    (slot,) = make_roster().slots
    restart = Restart()
    for _ in range(4):
        restart = restart.after_task_death(100.0, SECTION, soon=True, lived_seconds=0.5)
    slot.restart = restart.after_death(1.0, 100.0, SECTION).after_death(1.0, 100.0, SECTION)
    slot.by_task = by_task
    return slot


@pytest.mark.parametrize(("by_task", "text"), [(True, "slot slowed down"), (False, "restarting later")])
def test_a_slowed_slot_that_loses_a_child_for_another_reason_says_so(
    by_task: bool, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        log_consequence(slowed(by_task), "no database", 100.0, SECTION)
    assert [record.message.startswith(text) for record in caplog.records] == [True]
