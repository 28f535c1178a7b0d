"""When the memory of closed streams goes back to the system."""

import pytest

from dtqs.api.stream.freed_memory import FreedMemory


@pytest.mark.parametrize(
    ("streams", "times"),
    [
        ([0, 5000, 0], 1),
        ([5000, 1251, 1250, 1250, 0, 0], 2),
        ([5000, 2500, 5000], 0),
        ([199, 0], 0),
        ([200, 0, 200, 0], 2),
    ],
)
def test_memory_goes_back_when_most_of_many_streams_have_closed(streams: list[int], times: int) -> None:
    given = list[int]()
    freed = FreedMemory(lambda: given.append(1))
    for count in streams:
        freed.turn(count)
    assert len(given) == times
