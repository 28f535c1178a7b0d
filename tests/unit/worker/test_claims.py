"""Tasks that a claim leaves because their rows are locked: this worker publishes their hints once the rows are free."""

from unittest.mock import MagicMock

import pytest

from dtqs.store.driver.failures import StoreBlocked
from dtqs.task import Due
from dtqs.worker.claims import Claims
from dtqs.worker.hold import Hold


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("dtqs.worker.claims.time.monotonic", lambda: made.now)
    return made


class Trial:
    """A worker whose claim of one task has waited in vain, and the answers that it gets."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.store, self.link = clock, MagicMock(), MagicMock()
        self.is_locked = self.is_away = self.is_gone = False
        self.published, self.asked = list[float](), list[float]()
        self.store.leases.claim.side_effect = [StoreBlocked("statement timeout"), ([], []), ([], []), ([], [])]
        self.store.backlog.due_and_free.side_effect = self._look
        self.link.publish_hints.side_effect = self._publish
        self.claims = Claims("w", self.store, self.link, Hold())
        self.claims.claim(["t1"], "echo")

    def _look(self, task_ids: list[str]) -> tuple[list[Due], list[str]]:
        assert task_ids == ["t1"]
        self.asked.append(self.clock.now)
        free = [] if self.is_locked or self.is_gone else [Due("t1", "echo", True, 5, "")]
        return free, ["t1"] if self.is_locked else []

    def _publish(self, dues: list[Due], _: object) -> set[str]:
        self.published.append(self.clock.now)
        return set() if self.is_away else {"t1", "a task of an earlier call"}

    def turns(self, *times: float) -> None:
        for self.clock.now in times:
            self.claims.publish_left()

    @property
    def waits(self) -> bool:
        """Whether a claim would wait for locked rows."""
        self.store.leases.claim.side_effect = None
        self.store.leases.claim.return_value = ([], [])
        self.claims.claim([], "echo")
        return bool(self.store.leases.claim.call_args.args[3])


def test_a_task_whose_row_is_free_is_published_once_and_forgotten(clock: Clock) -> None:
    trial = Trial(clock)
    trial.turns(101.0, 102.0, 103.0, 106.0, 114.0, 130.0, 159.0)
    assert (trial.published, trial.asked) == ([102.0], [102.0])
    assert not trial.waits
    trial.turns(161.0)
    assert trial.waits, "a minute after the wait in vain"


def test_a_task_is_published_until_the_broker_has_it(clock: Clock) -> None:
    """The broker may be away at a publish, which then fails without an error."""
    trial = Trial(clock)
    trial.is_away = True
    trial.turns(102.0, 103.0, 105.0, 106.0)
    trial.is_away = False
    trial.turns(107.0, 113.0, 114.0, 130.0, 200.0)
    assert trial.published == [102.0, 106.0, 114.0]


def test_a_row_that_stays_locked_is_looked_at_again_and_published_once_it_is_free(clock: Clock) -> None:
    trial = Trial(clock)
    trial.is_locked = True
    trial.turns(102.0, 106.0, 114.0, 130.0, 162.0)
    assert (trial.published, trial.asked) == ([], [102.0, 106.0, 114.0, 130.0, 162.0])
    assert not trial.waits, "claims still leave locked rows out"
    trial.is_locked = False
    trial.turns(221.0, 222.0, 300.0)
    assert trial.published == [222.0]
    assert trial.waits


def test_a_task_that_has_left_the_backlog_is_forgotten(clock: Clock) -> None:
    trial = Trial(clock)
    trial.is_gone = True
    trial.turns(102.0, 106.0, 200.0)
    assert (trial.published, trial.asked) == ([], [102.0])


def test_a_claim_takes_only_tasks_of_the_type_in_the_hint(clock: Clock) -> None:
    trial = Trial(clock)
    assert [call.args[4] for call in trial.store.leases.claim.call_args_list] == ["echo", "echo"]
