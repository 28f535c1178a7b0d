"""Last-Event-ID: an encoded position is decoded unchanged; other text is no position."""

import os
import random
import sys

from hypothesis import given
from hypothesis import strategies as st

from dtqs.api.stream.position import ENDED, TEXT_LIMIT, Position, decode, encode
from dtqs.id_run import new_ids

IDS = new_ids(100)
POSITIONS = st.dictionaries(st.sampled_from(IDS), st.one_of(st.just(ENDED), st.integers(0, (1 << 63) - 1)))


@given(POSITIONS)
def test_a_position_is_decoded_as_it_was_encoded(positions: dict[str, int]) -> None:
    text = encode(positions)
    assert decode(text, IDS) == positions
    assert len(text) <= TEXT_LIMIT
    assert text.isascii()
    assert text.isprintable()


def test_a_position_names_only_the_requested_tasks() -> None:
    assert decode(encode({IDS[0]: 5, IDS[1]: ENDED}), [IDS[1], IDS[2]]) == {IDS[1]: ENDED}


@given(st.text(max_size=100))
def test_other_text_is_no_position(text: str) -> None:
    assert all(task_id in IDS for task_id in decode(text, IDS))


def test_a_cut_or_changed_position_never_raises() -> None:
    whole = encode(dict.fromkeys(IDS, 1 << 62))
    for _ in range(300):
        at = random.randrange(len(whole))
        decode(whole[:at], IDS)
        decode(whole[:at] + random.choice("Ab_-9") + whole[at + 1 :], IDS)
    assert decode("A" * (TEXT_LIMIT + 1), IDS) == {}
    assert decode(os.urandom(9).hex() * 1000, IDS) == {}


@given(POSITIONS, st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 1 << 40))))
def test_a_position_that_moves_has_the_text_of_its_last_state(
    positions: dict[str, int], moves: list[tuple[str, int]]
) -> None:
    moved = Position(positions)
    for task_id, position in moves:
        moved.move(task_id, position)
    assert moved.text().decode() == encode(positions | dict(moves))


def calls_of_an_event(tasks: int) -> int:
    """Return how many functions run to write the position of one event."""
    position, calls = Position(dict.fromkeys(IDS[:tasks], 1 << 40)), [0]

    def count(_: object, event: str, __: object) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        position.move(IDS[0], (1 << 40) + 1)
        position.text()
    finally:
        sys.setprofile(before)
    return calls[0]


def test_an_event_of_a_stream_of_many_tasks_costs_as_much_as_one_of_a_single_task() -> None:
    """A stream sends as many events as it has tasks: the whole position for each would cost the square of them."""
    assert calls_of_an_event(100) == calls_of_an_event(1)
