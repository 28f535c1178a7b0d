"""The commands of `dtqs ctl` on a roster without processes."""

from typing import Any, cast

import pytest

from dtqs.config import SupervisorSection
from dtqs.supervisor.desk import Desk
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reload import Reload
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.signals import Signals
from dtqs.supervisor.spawn import ChildSpec, ChildStart

SECTION = SupervisorSection()


def never(start: ChildStart) -> int:
    raise AssertionError("nothing is forked here")


@pytest.fixture
def roster() -> Roster:
    made = Roster([ChildSpec("default/0", "default", never, 0)], SECTION, 4)
    made.filled(made.slots[0], 100, 5.0, settler=False)
    assert made.replace(made.slots[0])
    made.filled(made.slots[0], 200, 6.0, settler=False)
    return made


def test_a_name_that_two_children_share_kills_neither(roster: Roster) -> None:
    desk = Desk(SECTION, roster, cast(Any, None), lambda: Phase.RUNNING, Reload(SECTION), Signals(), {})
    answer = desk.obey({"command": "kill", "slot": "default/0"}, uid=0)
    assert answer == {"error": "2 children are in the slot default/0; name one by its pid: 200, 100 (leaves)"}
    refusal = desk.obey({"command": "kill", "slot": "default/0 (leaves)"}, uid=0)["error"]
    assert "allowed: default/0, or the pid of a child" in refusal
