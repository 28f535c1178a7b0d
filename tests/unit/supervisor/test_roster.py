"""Slots, deaths and their consequences, without a fork or a signal."""

import os
import signal
import time
from dataclasses import replace

import pytest

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState, Death, Scoreboard, SlotRecord
from dtqs.supervisor.causes import cause_of
from dtqs.supervisor.child import LEASE_ENDED, Child, Stage
from dtqs.supervisor.reaping import End
from dtqs.supervisor.roster import MOST_DEATHS, Roster, record_of
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.uuid7 import uuid7
from dtqs.worker.own_lease import OwnLease

SECTION = SupervisorSection()
WORKER_ID, TASK_ID = uuid7(), uuid7()
KILLED, CRASHED, WELL = End(7, None, 9), End(7, 3), End(7, 0)


def never(start: ChildStart) -> int:
    raise AssertionError("nothing is forked here")


def make_roster(*names: str) -> Roster:
    specs = [ChildSpec(name, f"dtqs: {name}", never) for name in names or ("default/0",)]
    return Roster(specs, SECTION, 2 * len(specs) + 1, lambda pool, number: ChildSpec(f"{pool}/{number}", "dtqs", never))


def record(
    pid: int = 7,
    worker_id: str | None = WORKER_ID,
    task_id: str | None = None,
    settled: bool = False,
    kill_at: float = 0.0,
    beat: float = 0.0,
    claims: bool = False,
) -> SlotRecord:
    return SlotRecord(
        pid,
        beat,
        kill_at,
        ChildState.READY,
        deaths_settled=settled,
        worker_id=worker_id,
        task_id=task_id,
        claims=claims,
    )


def die(
    roster: Roster,
    slot: SlotState,
    end: End,
    said: SlotRecord,
    stage: Stage = Stage.LEFT_ALONE,
    cause: str | None = None,
) -> Death | None:
    child = roster.filled(slot, 7, 100.0, settler=False)
    child.stage, child.kill_cause = stage, cause
    return roster.vacated(slot, child, end, said, 200.0, out_of_memory=False)


@pytest.mark.parametrize(
    ("end", "said", "expected"),
    [
        (KILLED, record(task_id=TASK_ID), Death(WORKER_ID, "signal 9 (SIGKILL)", TASK_ID, idle=False)),
        (CRASHED, record(), Death(WORKER_ID, "exit status 3", None, idle=True)),
        (WELL, record(task_id=TASK_ID), Death(WORKER_ID, "exit status 0", TASK_ID, idle=False)),
        (KILLED, record(task_id="\0" * 30 + "rubbish"), Death(WORKER_ID, "signal 9 (SIGKILL)", None, idle=False)),
        (
            End(7, os.EX_PROTOCOL),
            record(task_id=TASK_ID),
            Death(WORKER_ID, "exit status 76 (its part for RabbitMQ failed)", TASK_ID, idle=False, blamed=False),
        ),
        (
            End(7, None, signal.SIGBUS),
            record(task_id=TASK_ID),
            Death(WORKER_ID, "signal 7 (SIGBUS)", TASK_ID, idle=False, blamed=False),
        ),
        (KILLED, record(claims=True), Death(WORKER_ID, "signal 9 (SIGKILL)", None, idle=False, blamed=False)),
        (WELL, record(claims=True), Death(WORKER_ID, "exit status 0", None, idle=False, blamed=False)),
        (WELL, record(), None),
        (KILLED, record(worker_id=None), None),
        (KILLED, record(worker_id="rubbish"), None),
    ],
)
def test_an_exit_leaves_the_death_that_a_successor_must_settle(
    end: End, said: SlotRecord, expected: Death | None
) -> None:
    roster = make_roster()
    assert die(roster, roster.slots[0], end, said) == expected
    assert roster.slots[0].deaths == ((expected,) if expected else ())


def test_unsettled_deaths_are_kept_with_the_next() -> None:
    roster = make_roster()
    slot = roster.slots[0]
    first, second = die(roster, slot, CRASHED, record()), die(roster, slot, KILLED, record())
    assert slot.deaths == (first, second)
    assert die(roster, slot, WELL, record(settled=True)) is None
    assert not slot.deaths


def test_a_slot_remembers_the_newest_deaths_up_to_a_limit() -> None:
    roster = make_roster()
    deaths = [die(roster, roster.slots[0], CRASHED, record()) for _ in range(MOST_DEATHS + 5)]
    assert roster.slots[0].deaths == tuple(deaths[5:])


def test_a_kill_for_the_nodes_sake_spends_no_attempt() -> None:
    roster = make_roster()
    death = die(roster, roster.slots[0], KILLED, record(task_id=TASK_ID), Stage.KILLED)
    assert death
    assert (death.task_id, death.idle) == (None, True)


def test_a_crash_during_a_stop_counts_against_the_task() -> None:
    roster = make_roster()
    assert die(roster, roster.slots[0], CRASHED, record(task_id=TASK_ID), Stage.KILLED) == Death(
        WORKER_ID, "exit status 3", TASK_ID, idle=False
    )


def test_causes_of_death_are_written_in_words() -> None:
    child = Child(7, 0.0, (), SECTION)
    assert cause_of(child, KILLED, out_of_memory=True) == "out of memory"
    assert cause_of(child, CRASHED, out_of_memory=True) == "exit status 3"
    assert cause_of(child, End(7, None, 40), out_of_memory=False) == "signal 40 (SIGRTMIN+6)"
    assert cause_of(child, End(7, None, 32), out_of_memory=False) == "signal 32"
    child.stage, child.kill_cause = Stage.KILLED, "time limit"
    assert cause_of(child, KILLED, out_of_memory=True) == "time limit"
    assert cause_of(child, End(7, None, 11), out_of_memory=False) == "signal 11 (SIGSEGV)"


def test_a_slot_in_its_backoff_is_not_vacant_yet() -> None:
    roster = make_roster()
    slot = roster.slots[0]
    for _ in range(4):
        child = roster.filled(slot, 7, 200.0, settler=False)
        roster.vacated(slot, child, CRASHED, record(), 200.0, out_of_memory=False)
    assert roster.vacant(200.3) == []
    assert roster.vacant(200.5) == [slot]


def test_a_slot_does_not_wait_after_a_death_within_a_claim_of_several_tasks() -> None:
    """One of them may be at fault, and each of them is claimed alone afterwards."""
    roster = make_roster()
    (slot,) = roster.slots
    for _ in range(5):
        child = roster.filled(slot, 7, 199.9, settler=False)
        child.note_ready(199.9)
        roster.vacated(slot, child, KILLED, record(claims=True), 200.0, out_of_memory=True)
        assert roster.vacant(200.0) == [slot]
    assert 0.0 < slot.restart.wait_seconds <= 1.25


def test_a_lost_lease_within_a_claim_is_no_fault_of_its_tasks() -> None:
    roster = make_roster()
    (slot,) = roster.slots
    for _ in range(5):
        die(roster, slot, KILLED, record(claims=True), Stage.KILLED, LEASE_ENDED)
        assert not slot.by_task


def test_a_slot_does_not_wait_after_a_death_caused_by_a_task() -> None:
    roster = make_roster()
    (slot,) = roster.slots
    for _ in range(5):
        child = roster.filled(slot, 7, 199.9, settler=False)
        roster.vacated(slot, child, CRASHED, record(task_id=TASK_ID), 200.0, out_of_memory=False)
        assert roster.vacant(200.0) == [slot]
    for _ in range(3):
        child = roster.filled(slot, 7, 199.9, settler=False)
        roster.vacated(slot, child, CRASHED, record(), 200.0, out_of_memory=False)
    assert roster.vacant(200.0) == []


def slowed(roster: Roster, deaths: int, ready_at: float, died_at: float, worked: bool = False) -> float:
    """Let a task kill this many children, one after the other; return the delay of the next one."""
    (slot,) = roster.slots
    for _ in range(deaths):
        child = roster.filled(slot, 7, 100.0, settler=False)
        child.note_ready(ready_at)
        said = replace(record(task_id=TASK_ID), worked=worked)
        roster.vacated(slot, child, KILLED, said, died_at + child.wait_seconds, out_of_memory=False)
        assert roster.vacant(died_at + 100.0) == [slot]
    return slot.restart.wait_seconds


def test_a_slot_whose_workers_die_of_tasks_early_is_slowed_down_and_named() -> None:
    roster = make_roster()
    assert slowed(roster, 2, 130.0, 139.0) == 0
    assert "slowed" not in roster.summary()
    assert slowed(roster, 3, 130.0, 139.0) >= 1.0, "the delay does not count as lifetime"
    told = "; slowed down, since tasks kill its workers before they finish any: default/0 (5 deaths)"
    assert roster.summary() == f"0 of 1 children ready{told}"


def test_a_slot_is_not_slowed_down_by_workers_that_have_worked() -> None:
    assert slowed(make_roster(), 5, 130.0, 141.0) == 0, "each worker lived for a while"
    assert slowed(make_roster(), 5, 130.0, 139.0, worked=True) == 0


def test_a_worker_that_leaves_to_be_replaced_delays_nothing_however_young_it_is() -> None:
    roster = make_roster()
    slot = roster.slots[0]

    def end_young(end: End, said: SlotRecord) -> None:
        roster.vacated(slot, roster.filled(slot, 7, 199.0, settler=False), end, said, 200.0, out_of_memory=False)

    for _ in range(5):
        end_young(WELL, replace(record(), leaves=True))
    assert roster.vacant(200.0) == [slot]
    end_young(CRASHED, replace(record(), leaves=True))
    end_young(WELL, record())
    assert not roster.vacant(200.0), "a crash, and an end that nobody asked for, are early deaths"


def test_a_failed_fork_backs_off_like_an_early_death() -> None:
    roster = make_roster()
    for _ in range(3):
        roster.not_filled(roster.slots[0], 100.0, settler=False)
    assert roster.vacant(100.1) == []
    assert roster.slots[0].settlers == 0


def test_in_a_drain_a_slot_with_unsettled_deaths_gets_a_limited_number_of_settlers() -> None:
    roster = make_roster("keeper", "default/0")
    slot = roster.slots[1]
    die(roster, slot, CRASHED, record())
    settlers = 0
    while roster.owing():
        assert not roster.workers_gone()
        child = roster.filled(slot, 7, 100.0, settler=True)
        roster.vacated(slot, child, CRASHED, record(), 101.0, out_of_memory=False)
        settlers += 1
    assert settlers == 2
    assert roster.workers_gone()


def staffed(*names: str) -> Roster:
    """Return a roster whose children are ready; the first was started at 10, the next at 20, and so on."""
    roster = make_roster(*names)
    for number, slot in enumerate(roster.slots):
        roster.filled(slot, 100 + number, 10.0 * (number + 1), settler=False).seen_ready = True
    return roster


def test_a_rolling_restart_fills_each_slot_again_before_its_child_leaves() -> None:
    roster = staffed("keeper", "default/0", "default/1")
    first, second, third = roster.slots
    assert roster.to_roll(25.0) is first
    old = first.child
    assert old
    assert roster.replace(first)
    assert (first.child, first.index, roster.leaving[0].child, roster.leaving[0].index) == (None, 3, old, 0)
    assert roster.vacant(100.0) == [first]
    new = roster.filled(first, 200, 30.0, settler=False)
    assert (roster.due_to_leave(), roster.to_roll(25.0), roster.rolled(25.0)) == ([], None, False)
    assert roster.summary() == "3 of 3 children ready", "the old one works on"
    new.seen_ready = True
    assert roster.due_to_leave() == [(roster.leaving[0], old)]
    assert roster.to_roll(25.0) is None, "the old one was not asked to leave yet"
    old.stage = Stage.DRAINING
    assert roster.summary() == "3 of 3 children ready; 1 more finishes its task and leaves"
    assert roster.ready() == 3, "the one that leaves is no fourth"
    assert roster.to_roll(25.0) is second
    roster.replace(second)
    roster.filled(second, 201, 40.0, settler=False).seen_ready = True
    [(_, leaving)] = roster.due_to_leave()
    leaving.stage = Stage.DRAINING
    assert roster.rolled(25.0)
    assert third.child


def test_a_leaving_childs_slot_is_free_after_its_end_and_its_deaths_are_settled() -> None:
    roster = staffed("default/0")
    roster.replace(roster.slots[0])
    [left] = roster.leaving
    assert left.child
    roster.vacated(left, left.child, KILLED, record(task_id=TASK_ID), 200.0, out_of_memory=False)
    assert roster.owing(running=True) == [left]
    settler = roster.filled(left, 300, 201.0, settler=True)
    assert [death.task_id for death in settler.deaths] == [TASK_ID]
    roster.vacated(left, settler, WELL, replace(record(pid=300), deaths_settled=True), 202.0, out_of_memory=False)
    assert roster.leaving == []


def test_no_child_is_replaced_without_a_free_slot() -> None:
    roster = staffed("default/0")
    (slot,) = roster.slots
    for pid in (200, 201):
        assert roster.replace(slot)
        roster.filled(slot, pid, 50.0, settler=False)
    assert not roster.replace(slot)
    assert slot.child
    assert slot.child.pid == 201


def test_a_pool_grows_into_its_first_free_number_and_shrinks_by_an_idle_slot() -> None:
    roster = staffed("keeper", "default/0", "default/1", "other/0")
    grown = roster.grow("default")
    assert grown
    assert (grown.spec.name, grown.index, roster.vacant(1.0)) == ("default/2", 4, [grown])
    assert roster.shrink("default", idle=lambda slot: True) is grown, "nobody works there yet"
    assert roster.leaving == []
    removed = roster.shrink("default", idle=lambda slot: slot.spec.name == "default/0")
    assert removed
    assert [(slot.spec.name, child.pid) for slot, child in roster.due_to_leave()] == [("default/0", 101)]
    refilled = roster.grow("default")
    assert refilled
    assert (refilled.spec.name, refilled.index) == ("default/0", 4), "the leaving child keeps its slot"
    last = roster.shrink("other", idle=lambda slot: False)
    assert last
    assert last.spec.name == "other/0"
    assert roster.shrink("other", idle=lambda slot: True) is None


def test_a_record_of_a_predecessor_or_a_damaged_one_is_ignored() -> None:
    child = Child(7, 50.0, (), SECTION)
    assert record_of(record(pid=7), child) == record(pid=7)
    for said in (record(pid=6, kill_at=1.0), None):
        blank = record_of(said, child)
        assert (blank.worker_id, blank.kill_at, blank.state, blank.beat) == (None, 0.0, ChildState.STARTING, 50.0)


def test_a_child_is_overdue_by_its_limit_or_its_silence() -> None:
    child = Child(os.getpid(), 100.0, (), SECTION)
    long_ago = float("-inf")
    assert child.overdue(record(kill_at=200.0, beat=200.0), 199.9, long_ago) is None
    assert child.overdue(record(kill_at=200.0, beat=200.0), 200.0, long_ago) == "time limit"
    assert child.overdue(record(beat=100.0), 160.0, long_ago) is None
    assert child.overdue(record(beat=100.0), 160.1, long_ago) == "no sign of life for 60 s"
    assert child.overdue(record_of(None, child), 160.1, long_ago) == "not ready within 60 s"


def test_the_start_limit_begins_again_after_a_wait_for_postgresql() -> None:
    child = Child(os.getpid(), 100.0, (), SECTION)
    long_ago = float("-inf")
    waits = replace(record(beat=500.0), state=ChildState.WAITING)
    assert child.overdue(waits, 500.0, long_ago) is None
    assert child.overdue(replace(waits, state=ChildState.STARTING), 560.0, long_ago) is None
    assert child.overdue(replace(waits, state=ChildState.STARTING), 560.1, long_ago) == "not ready within 60 s"


def test_a_child_frozen_together_with_its_supervisor_gets_time_again() -> None:
    child = Child(os.getpid(), 100.0, (), SECTION)
    assert child.overdue(record(beat=100.0), 500.0, 490.0) is None
    assert child.overdue(record(beat=500.0, kill_at=200.0), 494.9, 490.0) is None
    assert child.overdue(record(beat=500.0, kill_at=200.0), 495.0, 490.0) == "time limit"
    assert child.overdue(record_of(None, child), 500.0, 490.0) is None


@pytest.mark.parametrize("end", [End(7, os.EX_PROTOCOL), End(7, None, signal.SIGBUS)])
@pytest.mark.parametrize("said", [record(task_id=TASK_ID), record(claims=True), record()])
def test_a_fault_of_the_broker_or_the_disk_slows_the_forks_and_not_the_tasks(end: End, said: SlotRecord) -> None:
    roster = make_roster()
    for _ in range(4):
        die(roster, roster.slots[0], end, said)
    assert not roster.slots[0].by_task
    assert roster.slots[0].restart.wait_seconds == 0.0


def test_the_end_of_a_lease_is_not_blamed_on_its_task() -> None:
    """The supervisor kills it, or it ends itself. Before its lease has ended, the same status is the task's doing."""
    said = replace(record(task_id=TASK_ID, kill_at=5000.0), held_until=150.0)
    for end, cause, fenced in ((KILLED, LEASE_ENDED, said), (End(7, os.EX_TEMPFAIL), None, said)):
        roster = make_roster()
        assert die(roster, roster.slots[0], end, fenced, cause=cause) == Death(
            WORKER_ID, LEASE_ENDED, TASK_ID, idle=False, blamed=False
        )
    roster = make_roster()
    death = die(roster, roster.slots[0], End(7, os.EX_TEMPFAIL), replace(said, held_until=300.0))
    assert death
    assert death.blamed


def test_a_running_attempt_is_killed_half_a_second_after_its_lease_unless_the_node_vouches() -> None:
    board = Scoreboard(1)
    slot, child = board.slot(0), Child(os.getpid(), 0.0, (), SECTION)
    slot.begin()
    slot.worker(WORKER_ID)
    slot.state(ChildState.READY)
    now = time.monotonic()
    slot.hold_until(now)
    assert child.overdue(board.read(0), now + 0.6, 0.0) is None, "it runs no attempt"
    slot.kill_at(now + 1000)
    assert child.overdue(board.read(0), now + 0.4, 0.0) is None
    assert child.overdue(board.read(0), now + 0.6, 0.0) == LEASE_ENDED
    assert child.overdue(board.read(0), now + 0.6, now + 0.3) is None, "the machine was frozen until now"
    board.vouch(WORKER_ID, now + 10)
    assert child.overdue(board.read(0), now + 0.6, 0.0) is None
    assert OwnLease(slot, 30.0).has_ended(now + 5) is False


def test_a_paused_slot_settles_its_deaths_also_in_a_later_pause() -> None:
    roster = make_roster()
    (slot,) = roster.slots
    for _ in range(2):
        roster.paused = True
        die(roster, slot, KILLED, record(task_id=TASK_ID))
        for _ in range(2):
            assert roster.owing(running=True) == [slot]
            child = roster.filled(slot, 8, 300.0, settler=True)
            roster.vacated(slot, child, CRASHED, record(pid=8, worker_id=None), 301.0, out_of_memory=False)
        assert roster.owing(running=True) == [], "a keeper takes back what two could not"
        roster.paused = False
        roster.filled(slot, 9, 400.0, settler=False)
        slot.child, slot.deaths = None, ()
