"""When the memory of closed streams goes back to the system."""

import pytest

from dtqs.api.stream.freed_memory import FreedMemory


def times(streams: list[int]) -> int:
    """Return how often memory is given back in these turns."""
    given = list[int]()
    freed = FreedMemory(lambda: given.append(1))
    for count in streams:
        freed.turn(count)
    return len(given)


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([0, 5000, 0], 1),
        ([5000, 1251, 1250, 1250, 0, 0], 2),
        ([5000, 2500, 5000], 0),
        ([199, 0], 0),
        ([200, 0, 200, 0], 2),
    ],
)
def test_memory_goes_back_when_most_of_many_streams_have_closed(streams: list[int], expected: int) -> None:
    assert times(streams) == expected


def test_memory_goes_back_once_more_when_the_last_streams_have_closed() -> None:
    assert times([5000, 100, *[0] * 60]) == 2
