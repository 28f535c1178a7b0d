"""The children of a supervisor in the program that replaces it: same slots, new slots, nothing forgotten."""

import json

import pytest

from dtqs.config import SupervisorSection
from dtqs.errors import ConfigError
from dtqs.scoreboard import Death
from dtqs.supervisor.child import Child, Stage
from dtqs.supervisor.handover import FORMAT, adopt, refuse_unmet, requirements, slots_of
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.uuid7 import uuid7

SECTION = SupervisorSection()
DEATH = Death(uuid7(), "signal 9 (SIGKILL)", uuid7(), idle=False)


def never(start: ChildStart) -> int:
    raise AssertionError("nothing is forked here")


def roster(*names: str, slots: int = 8) -> Roster:
    return Roster([ChildSpec(name, name, never, 1000) for name in names], SECTION, slots)


def passed_on(before: Roster, after: Roster) -> list[str]:
    return adopt(after, json.loads(json.dumps(slots_of(before))), SECTION)


def test_each_child_keeps_its_slot_and_all_facts_and_children_without_a_slot_leave() -> None:
    before = roster("keeper", "a/0", "a/1", "b/0", "b/1")
    for number, slot in enumerate(before.slots):
        before.filled(slot, 100 + number, 5.0, settler=False).note_ready(7.0)
    before.slots[3].deaths = (DEATH,)
    assert before.replace(before.slots[1])
    before.slots[2].child, before.slots[2].deaths = None, (DEATH,)
    after = roster("keeper", "a/0", "a/2")
    assert passed_on(before, after) == []
    assert [(slot.spec.name, slot.index, bool(slot.child)) for slot in after.slots] == [
        ("keeper", 0, True),
        ("a/0", 5, False),
        ("a/2", 6, False),
    ]
    assert [(slot.spec.name, slot.index, slot.deaths) for slot in after.leaving] == [
        ("a/1", 2, (DEATH,)),
        ("b/0", 3, (DEATH,)),
        ("b/1", 4, ()),
        ("a/0", 1, ()),
    ]
    assert all(slot.spec.memory_kill == 1000 for slot in after.leaving)
    assert [slot.spec.name for slot in after.owing(running=True)] == ["a/1"]
    # a/0 waits for its successor, and b/0 for the worker in the new slot
    assert [slot.spec.name for slot, _ in after.due_to_leave()] == ["b/1"]
    after.filled(after.slots[2], 200, 9.0, settler=False).note_ready(10.0)
    assert [slot.spec.name for slot, _ in after.due_to_leave()] == ["b/0", "b/1"]
    adopted = after.slots[0].child
    assert adopted
    assert {name: getattr(adopted, name) for name in ("pid", "started_at", "seen_ready", "takes_from")} == {
        "pid": 100,
        "started_at": 5.0,
        "seen_ready": True,
        "takes_from": 7.0,
    }


def test_an_escalation_goes_on() -> None:
    child = Child(7, 1.0, (DEATH,), SECTION, 0.5)
    child.stage, child.next_step_at = Stage.DRAINING, 50.0
    other = Child.adopted(json.loads(json.dumps(child.state())), SECTION)
    assert (other.stage, other.next_step_at, other.deaths, other.wait_seconds) == (Stage.DRAINING, 50.0, (DEATH,), 0.5)


def test_slots_beyond_the_records_are_left_out_and_named() -> None:
    assert passed_on(roster("a/0", "a/1", slots=3), roster("a/0", "a/1", "a/2", "a/3", slots=3)) == ["a/3"]


def test_a_version_with_another_layout_or_too_many_children_is_refused() -> None:
    refuse_unmet(requirements(4), 3)
    # with 4 of 4 slots taken, no successor could come
    for wanted, slots in ((requirements(4), 4), (f"{FORMAT + 1}:4", 1)):
        with pytest.raises(ConfigError, match="restart the service"):
            refuse_unmet(wanted, slots)
