"""The records of reloads, without a running supervisor."""

import os
import signal
from pathlib import Path

import pytest

from dtqs.config import SupervisorSection
from dtqs.reload_record import CHECKING, DONE, ENDS, PAUSED, REFUSED, ROLLING, STUCK, ReloadRecord
from dtqs.supervisor import NodeLock, Supervisor, supervisor
from dtqs.supervisor.reload import Reload
from dtqs.systemd import Notifier

SECTION = SupervisorSection()


@pytest.fixture
def rolling(tmp_path: Path) -> Reload:
    reload = Reload(SECTION)
    reload.begin(tmp_path, Notifier(None), 1)
    assert reload.record.state == ROLLING
    return reload


def test_a_reload_that_was_stuck_is_done_later(rolling: Reload, tmp_path: Path) -> None:
    rolling.finish("no room")
    assert (rolling.record.state, rolling.record.reason) == (STUCK, "no room")
    rolling.finish()
    assert ReloadRecord.read(tmp_path) == rolling.record
    assert (rolling.record.number, rolling.record.state) == (1, DONE)


def test_the_end_of_a_reload_says_nothing_about_a_later_one(rolling: Reload) -> None:
    rolling.ask("", 0.0, paused=True)
    refused = rolling.record
    assert (refused.number, refused.state, refused.reason) == (2, REFUSED, PAUSED)
    rolling.finish()
    assert rolling.record == refused


def test_a_reload_of_a_node_that_was_paused_meanwhile_is_refused(rolling: Reload) -> None:
    rolling.is_approved = True
    rolling.turn(0.0, paused=False)
    assert rolling.is_approved
    rolling.turn(0.0, paused=True)
    assert (rolling.is_approved, rolling.record.reason) == (False, PAUSED)


@pytest.mark.parametrize(("state", "over"), [(CHECKING, REFUSED), (ROLLING, STUCK)])
def test_the_end_of_the_node_refuses_a_reload_only_before_it_has_effect(rolling: Reload, state: str, over: str) -> None:
    rolling.record = ReloadRecord(os.getpid(), 1, state)
    rolling.end()
    assert (rolling.record.state, rolling.record.reason) == (over, ENDS)


def test_a_doubt_of_the_check_is_told_at_the_end_of_the_reload(tmp_path: Path) -> None:
    ReloadRecord(os.getpid(), 3, CHECKING, "the schema was not checked").write(tmp_path)
    later = Reload(SECTION)
    later.begin(tmp_path, Notifier(None), 3)
    later.finish()
    assert (later.record.state, later.record.reason, later.told) == (DONE, "the schema was not checked", "")
    another = Reload(SECTION)
    another.begin(tmp_path, Notifier(None), 4)
    assert another.record.reason == ""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def note(handover: int, *_: object) -> None:
        os.close(handover)
        calls.append(handover)

    monkeypatch.setattr(supervisor, "execute", note)
    return calls


def test_a_signal_that_comes_before_the_execution_is_obeyed_first(tmp_path: Path, executed: list[int]) -> None:
    node, number = Supervisor(SECTION, (), NodeLock(tmp_path)), signal.SIGTERM
    with node._lock, node._signals as signals:
        node._channels.begin()
        os.kill(os.getpid(), number)
        node._execute()
        assert executed == []
        assert signals.take() == [number]
        node._execute()
        assert len(executed) == 1
