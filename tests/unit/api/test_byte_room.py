"""The bytes of large bodies and answers that one API process holds."""

import pytest

from dtqs.api.http.byte_room import MOST_BODIES, MOST_BYTES, SMALL_BYTES, ByteRoom
from dtqs.errors import BodiesFull

HALF = MOST_BYTES // 2


def test_a_key_gets_half_of_the_room_and_another_key_the_rest() -> None:
    room = ByteRoom(1 << 20, BodiesFull)
    greedy = room.share("greedy")
    greedy.cover(HALF)
    with pytest.raises(BodiesFull, match=f"at most {MOST_BYTES} bytes"):
        room.share("greedy").cover(SMALL_BYTES + 1)
    others = [room.share(key) for key in ("modest", "late")]
    others[0].cover(HALF)
    with pytest.raises(BodiesFull):
        others[1].cover(SMALL_BYTES + 1)
    others[1].cover(SMALL_BYTES)
    greedy.free()
    greedy.free()
    others[1].cover(HALF)


def test_a_body_takes_room_as_it_grows_and_keeps_what_it_has_if_it_may_not_grow() -> None:
    room = ByteRoom(1 << 20, BodiesFull)
    share = room.share("one")
    for size in (10, HALF // 2, HALF):
        share.cover(size)
    with pytest.raises(BodiesFull):
        share.cover(HALF + 1)
    with pytest.raises(BodiesFull):
        room.share("one").cover(SMALL_BYTES + 1)
    share.free()
    room.share("one").cover(HALF)


def test_there_is_room_for_some_of_the_longest_allowed_bodies() -> None:
    room = ByteRoom(1 << 30, BodiesFull)
    for _ in range(MOST_BODIES // 2):
        room.share("one").cover(1 << 30)
    with pytest.raises(BodiesFull):
        room.share("one").cover(1 << 30)


def test_an_answer_that_must_be_given_is_counted_beyond_the_bounds() -> None:
    room = ByteRoom(1 << 20, BodiesFull)
    share = room.share("one")
    share.cover_anyway(HALF)
    room.require("one")
    share.cover_anyway(MOST_BYTES)
    with pytest.raises(BodiesFull):
        room.require("one")
    with pytest.raises(BodiesFull):
        room.share("other").cover(SMALL_BYTES + 1)
    room.require("other")
    share.free()
    room.require("one")
    room.share("other").cover(HALF)


def test_an_empty_room_takes_an_answer_of_any_size() -> None:
    room = ByteRoom(1 << 20, BodiesFull)
    share = room.share("one")
    share.cover(2 * MOST_BYTES)
    assert not room.has_room("other", 1)
    share.free()
    assert room.has_room("other", HALF)


def test_a_piece_is_small_without_room() -> None:
    room = ByteRoom(1 << 20, BodiesFull)
    first, second = room.share("one"), room.share("one")
    assert first.piece(1 << 20) == 1 << 20
    assert first.piece(1 << 20) == first.held_bytes == 1 << 20
    other = room.share("one")
    other.cover(HALF - (1 << 20))
    assert (second.piece(1 << 20), second.piece(100), second.held_bytes) == (SMALL_BYTES, 100, 0)
    assert first.piece(2 << 20) == 1 << 20
    other.free()
    assert second.piece(1 << 20) == 1 << 20
