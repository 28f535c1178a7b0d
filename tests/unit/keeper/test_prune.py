"""The days of logs that a keeper drops after a cut of their retention."""

from typing import Any
from unittest.mock import MagicMock

from dtqs.keeper.prune import Prune
from dtqs.store.housekeeping import DAYS_AT_ONCE, Housekeeping


def test_many_expired_days_are_dropped_in_several_turns() -> None:
    """A turn that drops hundreds outlasts the keeper's beat, and its supervisor kills it."""
    days = [f"logs_{number:03}" for number in range(3 * DAYS_AT_ONCE + 1)]
    database = MagicMock()
    database.run.side_effect = lambda *_: [(name, False, False) for name in days]
    store, config = MagicMock(), MagicMock()
    store.housekeeping = Housekeeping(database)
    prune: Any = Prune.__new__(Prune)
    prune._store, prune._config = store, config
    store.housekeeping.make_partitions = MagicMock()
    turns = []
    for _ in range(4):
        database.administer.reset_mock()
        turns.append(prune.logs())
        assert database.administer.call_count <= DAYS_AT_ONCE
        del days[: database.administer.call_count]
    assert turns == [True, True, True, False]
    assert days == []
