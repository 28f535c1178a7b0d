"""A worker that waits for PostgreSQL reports the state `waiting` exactly as long as it waits."""

from dtqs.errors import StoreUnavailable
from dtqs.scoreboard import ChildState, Scoreboard
from dtqs.worker.arrival import Waiting


def test_the_start_continues_when_the_wait_ends() -> None:
    board = Scoreboard(1)
    board.slot(0).begin()
    waiting = Waiting(board.slot(0))
    for _ in range(2):
        waiting.note_failure(StoreUnavailable("away"))
        assert (waiting.is_on, board.read(0).state) == (True, ChildState.WAITING)
        waiting.note_answer()
        assert (waiting.is_on, board.read(0).state) == (False, ChildState.STARTING)


def test_an_answer_without_a_wait_changes_no_state() -> None:
    board = Scoreboard(1)
    board.slot(0).state(ChildState.READY)
    Waiting(board.slot(0)).note_answer()
    assert board.read(0).state is ChildState.READY
