"""The relay after steps of the database's clock: each step is handled once."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtqs.keeper.relay import Relay
from dtqs.store.backlog import FIRST_ID
from dtqs.store.workers import ProcessTotals

HOUR = 3600.0
NOON = 12 * HOUR


class SteppedBacklog:
    """Show the time that a test sets, and note each pass: the time until which tasks count as due, and its first id."""

    def __init__(self) -> None:
        self.shown, self.batches, self.seen = NOON, 1, list[tuple[float, str]]()
        self.locked = set[str]()
        """Batches with rows that other sessions have locked, by the id before them."""

    def now(self) -> tuple[str, float]:
        return "mark", self.shown

    def due_again(self, until: float, after: str, limit: int) -> tuple[str | None, int, bool]:
        self.seen.append((until, after))
        self.batches -= 1
        return ("more" if self.batches > 0 else None), limit, after in self.locked


@pytest.fixture
def backlog() -> SteppedBacklog:
    return SteppedBacklog()


@pytest.fixture
def relay(backlog: SteppedBacklog) -> Relay:
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


def test_rows_that_others_have_locked_are_looked_at_again_in_the_next_turn(
    relay: Relay, backlog: SteppedBacklog
) -> None:
    backlog.batches, backlog.locked, backlog.shown = 3, {FIRST_ID, "more"}, NOON - HOUR
    assert [relay.turn() for _ in range(4)] == [True, True, False, False], "no turn comes at once after the last batch"
    assert [after for _, after in backlog.seen] == [FIRST_ID, "more", "more", FIRST_ID]
    backlog.locked.clear()
    for _ in range(3):
        relay.turn()
    assert [after for _, after in backlog.seen[4:]] == [FIRST_ID], "the pass ends once nothing is left out"


def test_a_look_at_rows_that_were_left_out_ends_with_their_batches(
    relay: Relay, backlog: SteppedBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["a", "b", "c", "d", None]
    backlog.shown, seen = NOON - HOUR, list[str]()

    def due_again(_: float, after: str, limit: int) -> tuple[str | None, int, bool]:
        seen.append(after)
        return ids[0 if after == FIRST_ID else ids.index(after) + 1], limit, after in ("a", "b")

    monkeypatch.setattr(backlog, "due_again", due_again)
    assert [relay.turn() for _ in range(5)] == [True] * 4 + [False]
    assert [relay.turn() for _ in range(4)] == [True, False] * 2
    assert seen == [FIRST_ID, "a", "b", "c", "d", *["a", "b"] * 2]
