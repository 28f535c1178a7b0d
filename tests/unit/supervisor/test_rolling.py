"""A rolling restart while children die or wait, over a roster without processes."""

from pathlib import Path

import pytest

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState, SlotRecord
from dtqs.supervisor import NodeLock
from dtqs.supervisor.channels import ChildChannels, places_of, records_for
from dtqs.supervisor.filling import Filling
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reaping import End
from dtqs.supervisor.rolling import Rolling
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildSpec, ChildStart
from dtqs.uuid7 import uuid7

SECTION = SupervisorSection(boot_timeout_seconds=60)
SINCE = 100.0
NOBODY = 5_000_000
"""No process of Linux has a number from here on, so signals reach nobody."""


def never(start: ChildStart) -> int:
    raise AssertionError("nothing is forked here")


class Scene:
    """Two workers from before the restart, and the steps of the supervisor's loop."""

    def __init__(self, folder: Path) -> None:
        lock = NodeLock(folder)
        lock.acquire()
        self.channels = ChildChannels(records_for(2), lock)
        self.channels.begin()
        specs = [ChildSpec(f"default/{number}", "worker", never) for number in range(2)]
        self.roster = Roster(specs, SECTION, places_of(records_for(2)))
        for number, slot in enumerate(self.roster.slots):
            self.roster.filled(slot, NOBODY + number, 1.0, settler=False).seen_ready = True
        self.rolling = Rolling(SECTION, self.roster, self.channels, lock)
        self.rolling.begin(SINCE)
        self.lock = lock

    def step(self, now: float) -> bool:
        """Take a turn, and fill empty slots."""
        done = self.rolling.turn(now)
        for slot in self.roster.vacant(now):
            self.roster.filled(slot, NOBODY + int(now), now, settler=False)
        return done

    def die_of_a_task(self, slot: SlotState, now: float) -> None:
        child = slot.child
        assert child
        record = SlotRecord(
            child.pid, now, 0.0, ChildState.READY, deaths_settled=True, worker_id=uuid7(), task_id=uuid7()
        )
        self.roster.vacated(slot, child, End(child.pid, None, 9), record, now, out_of_memory=False)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_tasks_that_keep_killing_the_new_workers_do_not_hold_it_up(scene: Scene) -> None:
    """Each new worker is ready for a moment, and at no time are both."""
    for turn in range(8):
        scene.step(now := SINCE + turn + 1)
        for slot in scene.roster.slots:
            if slot.child and slot.child.started_at > SINCE:
                slot.child.seen_ready = True
                scene.step(now)
                scene.die_of_a_task(slot, now)
    assert scene.rolling.since is None


def test_a_new_worker_that_crashes_without_a_task_keeps_the_others_at_work(scene: Scene) -> None:
    first, second = scene.roster.slots
    scene.step(101.0)
    assert first.child
    first.child.seen_ready = True
    scene.roster.vacated(first, first.child, End(1, 3), scene.channels.read(first, first.child), 102.0, False)
    for turn in range(5):
        assert not scene.step(103.0 + turn)
    assert second.child
    assert second.child.started_at < SINCE


def test_without_a_step_for_long_it_is_stuck_and_names_the_obstacle(scene: Scene) -> None:
    first, _ = scene.roster.slots
    scene.step(101.0)
    scene.step(101.0)
    scene.step(161.0)
    assert scene.rolling.stuck(165.9) is None
    assert scene.rolling.stuck(166.0) == "no step for 65 s: default/0 is not ready yet"
    slot = scene.channels.start_of(first).slot
    slot.begin()
    slot.state(ChildState.WAITING)
    child = first.child
    assert child
    child.pid = scene.channels._scoreboard.read(first.index).pid
    assert scene.rolling.stuck(170.0) == "no step for 69 s: default/0 waits for PostgreSQL"
    first.child, first.reason = None, "signal 4 (SIGILL)"
    assert "default/0 ended (signal 4 (SIGILL)) and is not started again yet" in str(scene.rolling.stuck(170.0))


def test_without_a_free_slot_it_waits_for_leaving_children_and_says_so(scene: Scene) -> None:
    scene.roster.records = 2
    scene.step(101.0)
    assert scene.rolling.stuck(170.0) == (
        "no step for 70 s: default/0 waits for room in the scoreboard: 0 leaving children finish their tasks"
    )


@pytest.mark.parametrize(("phase", "takes_tasks"), [(Phase.RUNNING, True), (Phase.DRAINING, False)])
def test_a_child_that_only_settles_deaths_takes_no_task(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, phase: Phase, takes_tasks: bool
) -> None:
    """It could begin the task that it has given back, in the time until its signal comes."""
    starts: list[ChildStart] = []

    def note(_: ChildSpec, start: ChildStart, *__: object) -> int:
        starts.append(start)
        return NOBODY + 9

    monkeypatch.setattr("dtqs.supervisor.filling.spawn", note)
    first = scene.roster.slots[0]
    scene.die_of_a_task(first, SINCE)
    Filling(SECTION, scene.roster, scene.channels, scene.lock, ()).turn(phase, SINCE + 60)
    assert [start.wait_seconds < SECTION.leaving_seconds for start in starts] == [takes_tasks]
