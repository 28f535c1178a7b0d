"""Last-Event-ID: an encoded position is decoded unchanged; other text is no position."""

import os
import random

from hypothesis import given
from hypothesis import strategies as st

from dtqs.api.stream.position import ENDED, TEXT_LIMIT, decode, encode
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
