"""The relay after steps of the database's clock: each step is handled once."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.keeper.relay import Relay
from dtqs.store.workers import ProcessTotals

HOUR = 3600.0
NOON = 12 * HOUR


class SteppedBacklog:
    """Show the time that a test sets, and note each pass: the time until which tasks count as due, and its first id."""

    def __init__(self) -> None:
        self.shown, self.batches, self.seen = NOON, 1, list[tuple[float, str]]()
        self.locked = set[str]()

    def now(self) -> tuple[str, float]:
        return "mark", self.shown

    def due_again(self, until: float, after: str, limit: int, last: str) -> tuple[str | None, int, bool]:
        self.seen.append((until, after))
        self.batches -= 1
        return ("more" if self.batches > 0 else None), limit, False


@pytest.fixture
def backlog() -> SteppedBacklog:
    return SteppedBacklog()


@pytest.fixture
def relay(backlog: SteppedBacklog) -> Relay:
    return relay_of(backlog)


def relay_of(backlog: SteppedBacklog) -> Relay:
    made = Relay(
        cast(Any, SimpleNamespace(backlog=backlog)), cast(Any, SimpleNamespace(can_publish=False)), ProcessTotals(), 1.0
    )
    made.turn()
    return made


def test_a_second_step_back_is_handled_from_its_own_time(relay: Relay, backlog: SteppedBacklog) -> None:
    for shown in (NOON - HOUR, NOON - HOUR + 600, NOON - HOUR + 590):
        backlog.shown = shown
        relay.turn()
    assert [until for until, _ in backlog.seen] == [pytest.approx(NOON, abs=5), pytest.approx(NOON - HOUR + 600, abs=5)]


def test_a_step_back_during_the_first_ones_pass_keeps_its_time_and_starts_the_pass_again(
    relay: Relay, backlog: SteppedBacklog
) -> None:
    backlog.batches = 3
    for shown in (NOON - HOUR, NOON - HOUR - 10, NOON - HOUR - 10):
        backlog.shown = shown
        relay.turn()
    assert [until for until, _ in backlog.seen] == [pytest.approx(NOON, abs=5)] * 3
    assert [after for _, after in backlog.seen] == [backlog.seen[0][1]] * 2 + ["more"]


@dataclass
class Rows(SteppedBacklog):
    """Rows by their ids, each a batch of its own. `locked` are those that other sessions have locked."""

    rows: list[str]

    def __post_init__(self) -> None:
        super().__init__()

    def due_again(self, until: float, after: str, limit: int, last: str) -> tuple[str | None, int, bool]:
        found = next((row for row in self.rows if after < row <= last), None)
        self.seen.append((until, found or "end"))
        return found, limit, found in self.locked

    def looks(self) -> str:
        """Return the ids since the last call."""
        text = " ".join(found for _, found in self.seen)
        self.seen.clear()
        return text


def test_rows_that_others_have_locked_are_looked_at_again_in_the_next_turn() -> None:
    backlog = Rows(["a", "b", "c", "d", "e"])
    relay = relay_of(backlog)
    backlog.locked, backlog.shown = {"b", "c"}, NOON - HOUR
    assert [relay.turn() for _ in range(6)] == [True] * 5 + [False], "no turn comes at once after the last batch"
    assert backlog.looks() == "a b c d e end"
    for _ in range(3):
        relay.turn()
    assert backlog.looks() == "b c end", "it looks at no other rows"
    backlog.locked = {"c"}
    for _ in range(5):
        relay.turn()
    assert backlog.looks() == "b c end c end"
    backlog.locked.clear()
    for _ in range(5):
        relay.turn()
    assert backlog.looks() == "c end", "the pass ends once nothing is left out"


def test_a_task_that_came_after_a_step_back_is_not_made_due_with_one_that_was_locked() -> None:
    backlog = Rows(["a"])
    relay = relay_of(backlog)
    backlog.locked, backlog.shown = {"a"}, NOON - HOUR
    relay.turn()
    backlog.rows.append("b")
    relay.turn()
    assert backlog.looks() == "a b", "the first pass goes up to the end"
    backlog.rows.append("c")
    for _ in range(4):
        relay.turn()
    assert backlog.looks() == "c end a end"


def test_a_new_step_back_starts_a_whole_pass_also_while_rows_are_locked() -> None:
    backlog = Rows(["a", "b"])
    relay = relay_of(backlog)
    backlog.locked, backlog.shown = {"a"}, NOON - HOUR
    for _ in range(4):
        relay.turn()
    assert backlog.looks() == "a b end a"
    backlog.shown -= HOUR
    for _ in range(3):
        relay.turn()
    assert backlog.looks() == "a b end"
