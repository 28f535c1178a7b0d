"""The count of due tasks on its way from the keeper to the pools that scale themselves, for any number of pools."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from dtqs.config import PoolSection, SupervisorSection
from dtqs.due_note import DueNote, note_bytes
from dtqs.keeper.due import DueTasks
from dtqs.routes import NO_ROUTES
from dtqs.store import Store
from dtqs.supervisor import NodeLock
from dtqs.supervisor.autoscaling import Autoscaling
from dtqs.supervisor.channels import ChildChannels, places_of, records_for
from dtqs.supervisor.child import Child
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.spawn import ChildSpec, ChildStart

SECTION = SupervisorSection()
POOLS = {f"a-pool-with-a-name-of-some-length-{number}": PoolSection(min=1, max=2) for number in range(100)}


def never(start: ChildStart) -> int:
    raise AssertionError("nothing is forked here")


class ManyDue:
    """Stands for a store with many due tasks of each pool."""

    backlog: Any = property(lambda self: self)

    def count_due(self, most: int, types: tuple[str, ...], chosen: bool) -> int:
        return 5000


class Node:
    """A keeper and the pools of a node, without processes."""

    def __init__(self, lock: NodeLock, pools: dict[str, PoolSection]) -> None:
        self.pools, specs = pools, [self._hire(pool, 0) for pool in pools]
        records = records_for(len(specs))
        self.roster = Roster(specs, SECTION, places_of(records), self._hire)
        self.channels = ChildChannels(records, lock, pools)
        self.scaling = Autoscaling(pools, self.roster, self.channels)

    def _hire(self, pool: str, number: int) -> ChildSpec:
        return ChildSpec(f"{pool}/{number}", "worker", never)

    def count(self) -> None:
        """Let the keeper count and leave its note."""
        start = self.channels.start_of(self.roster.slots[0])
        DueTasks(cast(Store, ManyDue()), self.pools, NO_ROUTES, ("echo",), start.note).turn()

    def sizes(self) -> set[int]:
        return {len(self.roster.pool(pool)) for pool in self.pools}


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[NodeLock]:
    with NodeLock(tmp_path) as held:
        yield held


def test_a_hundred_pools_grow_by_one_note(lock: NodeLock) -> None:
    node = Node(lock, POOLS)
    node.channels.begin()
    node.count()
    node.scaling.turn(100.0)
    assert node.sizes() == {2}


def test_a_reload_makes_room_for_the_counts_of_more_pools(lock: NodeLock) -> None:
    before = Node(lock, dict([*POOLS.items()][:1]))
    before.channels.begin()
    before.count()
    memory = before.channels.memory
    assert memory
    after = Node(lock, POOLS)
    after.channels.adopt(before.channels.boot_id, memory)
    after.scaling.turn(100.0)
    assert after.sizes() == {1}, "the keeper from before the reload has counted nothing since"
    after.count()
    after.scaling.turn(101.0)
    assert after.sizes() == {2}
    assert os.fstat(memory.words).st_size > note_bytes(POOLS)


def test_a_note_that_stays_damaged_is_logged_once(lock: NodeLock, caplog: pytest.LogCaptureFixture) -> None:
    node = Node(lock, POOLS)
    node.channels.begin()
    node.count()
    note = node.channels.start_of(node.roster.slots[0]).note
    whole = node.channels.keepers_note()
    with caplog.at_level(logging.ERROR):
        for second in range(60):
            note(whole[:511])
            node.scaling.turn(100.0 + second)
    assert [record.getMessage() for record in caplog.records] == ["due tasks are not known, so pools keep their sizes"]
    note(whole)
    node.scaling.turn(160.0)
    assert node.sizes() == {2}


def test_the_room_is_that_of_the_longest_note() -> None:
    counts = dict.fromkeys(POOLS, 50_000)
    assert len(DueNote(4e9, counts).line()) <= note_bytes(POOLS)
    assert DueNote.read(DueNote(4e9, counts).line()) == DueNote(4e9, counts)
    for damaged in ("", "{", "[]", '{"at": 1}', '{"at": 1, "due": []}', '{"at": 1, "due": {"a": "x"}}'):
        assert DueNote.read(damaged) is None


@pytest.mark.parametrize(
    "damaged",
    [
        '{"at": 1, "due": {"p": 1e999}}',
        '{"at": 1, "due": {"p": NaN}}',
        '{"at": 1, "due": {"p": -1}}',
        '{"at": 1, "due": {"p": ' + "9" * 400 + "}}",
        '{"at": NaN, "due": {"p": 1}}',
        '{"at": ' + "9" * 400 + ', "due": {"p": 1}}',
        "[" * 100_000,
    ],
)
def test_a_note_that_a_task_has_overwritten_is_no_note(damaged: str) -> None:
    assert DueNote.read(damaged) is None


@pytest.mark.parametrize("damage", [float("inf"), float("nan"), -1e300, 1e300])
def test_a_task_that_overwrites_the_scoreboard_spoils_no_measurement(lock: NodeLock, damage: float) -> None:
    node = Node(lock, {"a": PoolSection(min=1, max=20, target_wait_seconds=5)})
    node.channels.begin()
    slot = node.roster.slots[0]
    start = node.channels.start_of(slot)
    start.slot.begin()
    slot.child = Child(os.getpid(), 0.0, (), SECTION)
    for turn, served in enumerate([(0, 0), (damage, damage), (100, 0.2), (200, 0.4)]):
        start.slot.served(*served)
        node.scaling.turn(100.0 + turn)
    node.channels.start_of(slot).note(DueNote(1.0, {"a": 5000}).line())
    for now in (105.0, 111.0, 117.0):
        node.scaling.turn(now)
    assert node.sizes() == {2}, "5000 due tasks of 2 ms need two workers"


def test_a_fault_of_the_scaling_does_not_end_the_supervisor(
    lock: NodeLock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(lock, POOLS)

    def fail() -> str:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(node.channels, "keepers_note", fail)
    for second in range(60):
        node.scaling.turn(100.0 + second)
    assert [record.getMessage() for record in caplog.records] == ["pools keep their sizes: autoscaling failed"]
