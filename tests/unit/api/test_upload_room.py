"""The bytes of uploads that one API process receives at the same time."""

import pytest

from dtqs.api.files.upload_room import UploadRoom
from dtqs.errors import UploadsFull

LIMIT = 1 << 50


def test_an_upload_that_has_no_room_beside_the_others_is_refused_and_leaves_theirs() -> None:
    room = UploadRoom(100)
    with room.taken(60, LIMIT) as first, room.taken(40, LIMIT) as second:
        first.cover(60)
        second.cover(40)
        with pytest.raises(UploadsFull, match="receiving_bytes = 100"), room.taken(1, LIMIT):
            pass
    with room.taken(100, LIMIT) as share:
        share.cover(100)


def test_an_announced_length_takes_no_room() -> None:
    room = UploadRoom(100)
    with room.taken(100, LIMIT) as silent, room.taken(90, LIMIT) as share:
        silent.cover(10)
        share.cover(90)
        with pytest.raises(UploadsFull):
            silent.cover(11)


def test_an_upload_of_unknown_length_takes_room_as_it_grows() -> None:
    room = UploadRoom(100)
    with room.taken(70, LIMIT) as other, room.taken(None, LIMIT) as share:
        other.cover(70)
        for size in (10, 20, 20, 30):
            share.cover(size)
        with pytest.raises(UploadsFull):
            share.cover(31)
    with pytest.raises(RuntimeError), room.taken(100, LIMIT):
        raise RuntimeError("the client has gone")
    with room.taken(100, LIMIT) as share:
        share.cover(100)


def test_without_a_limit_there_is_always_room() -> None:
    room = UploadRoom(0)
    with room.taken(1 << 44, LIMIT) as other, room.taken(1 << 44, LIMIT) as share:
        other.cover(1 << 44)
        share.cover(1 << 50)


def test_an_upload_over_its_limit_is_not_called_full() -> None:
    """The form around a file, or the piece that passes the limit, is refused as too long and needs no room."""
    room = UploadRoom(100)
    with room.taken(160, 100) as share:
        share.cover(101)
        assert share.held_bytes == 100
