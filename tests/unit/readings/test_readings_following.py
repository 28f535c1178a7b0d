"""The newest log rows while others commit: none is left out."""

from typing import Any
from unittest.mock import MagicMock

from dtqs.readings.following import Following


def test_an_older_row_that_commits_between_the_first_two_readings_is_new_later() -> None:
    committed = [8, 10]

    def log_ids(*_: object) -> tuple[list[int], float]:
        found = list(committed)
        if reader.named_logs.call_count == 0 and 9 not in committed:
            committed.append(9)
        return found, 100.0

    def rows(ids: list[int]) -> list[Any]:
        return [MagicMock(log_id=log_id) for log_id in sorted(ids)]

    reader = MagicMock()
    reader.log_ids.side_effect = log_ids
    reader.newest_logs.side_effect = lambda *_: rows(committed)[-2:]
    reader.named_logs.side_effect = lambda _, ids: rows(ids)
    following = Following(reader, None, None)
    seen = [row.log_id for row in following.begin(2)]
    seen += [row.log_id for row in following.new()]
    assert sorted(seen) == [8, 9, 10] or sorted(seen) == [9, 10]
    assert len(seen) == len(set(seen))
