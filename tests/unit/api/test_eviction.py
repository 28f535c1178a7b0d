"""The choice of waiting requests that give room to another key."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from dtqs.api.submit.eviction import Share, victims


@dataclass(eq=False)
class Request:
    size_bytes: int


def share_of(*sizes: int) -> Share[Request]:
    share: Share[Request] = Share()
    for size in sizes:
        share.add(Request(size))
    return share


@pytest.mark.parametrize(
    ("shares", "wanted", "missing", "chosen"),
    [
        ([[100] * 4, [100] * 2], 300, 300, None),
        ([[1] * 3, [2], [1]], 2, 2, None),
        ([[400, *[20] * 10]], 100, 100, [400]),
        ([[400, *[20] * 10]], 300, 100, [20] * 5),
        ([[50] * 10, [50] * 9], 100, 200, [50] * 4),
        ([[300], [100]], 150, 100, None),
        ([], 1, 1, None),
    ],
)
def test_the_fewest_requests_of_the_greediest_keys_give_room_if_they_hold_enough(
    shares: Sequence[Sequence[int]], wanted: int, missing: int, chosen: list[int] | None
) -> None:
    given = victims([share_of(*sizes) for sizes in shares], wanted, missing)
    assert (None if given is None else [each.size_bytes for each in given]) == chosen


def test_keys_with_much_give_in_turn_and_of_equal_requests_the_newest() -> None:
    greedy, other = share_of(*[50] * 5), share_of(*[50] * 4)
    given = victims([other, greedy], 50, 150)
    assert given == [list(greedy.members)[-1], list(other.members)[-1], list(greedy.members)[-2]]


def test_the_choice_of_thousands_takes_milliseconds() -> None:
    shares = [share_of(*[1] * 20_000)]
    began = time.process_time()
    given = victims(shares, 5000, 15_000)
    assert time.process_time() - began < 1
    assert given is not None
    assert len(given) == 15_000
