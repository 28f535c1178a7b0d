"""The bytes of uploads that one API process receives at the same time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dtqs.api.files import upload_room
from dtqs.api.files.upload_room import UploadRoom, UploadShare
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


class Clock:
    """The time of the room, and uploads that end as soon as they are cut."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cut: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def drip(self, share: UploadShare, to_bytes: int, seconds: float, every_seconds: float = 29.0) -> None:
        """Let an upload grow evenly for a time."""
        until, begun = self.now + seconds, share.held_bytes
        while self.now < until:
            self.now += every_seconds
            part = 1 - max(0.0, until - self.now) / seconds
            share.cover(begun + round((to_bytes - begun) * part))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(upload_room, "time", one)
    return one


@contextmanager
def uploading(clock: Clock, room: UploadRoom, key: str) -> Iterator[UploadShare]:
    with ExitStack() as stack:

        def cut() -> None:
            clock.cut.append(key)
            stack.close()

        yield stack.enter_context(room.taken(None, LIMIT, key, cut))


MUCH = 2 << 30


@pytest.mark.parametrize("announced", [None, MUCH])
def test_an_upload_that_sent_much_and_drips_then_ends_for_another_key(clock: Clock, announced: int | None) -> None:
    room = UploadRoom(MUCH)
    with uploading(clock, room, "greedy") as dripping:
        dripping.cover(MUCH - 5000)
        clock.drip(dripping, MUCH - 4000, 120)
        with pytest.raises(UploadsFull), room.taken(5000, LIMIT, "greedy"):
            pass
        with room.taken(announced, LIMIT, "modest") as share:
            share.cover(MUCH)
        assert clock.cut == ["greedy"]


def test_an_upload_that_drips_within_a_piece_ends_for_another_key(clock: Clock) -> None:
    """The room learns of a piece when it is complete."""
    room = UploadRoom(MUCH)
    with uploading(clock, room, "greedy") as dripping, room.taken(None, LIMIT, "modest") as share:
        dripping.cover(MUCH - 5000)
        clock.now += 40
        share.cover(10_000)
        assert clock.cut == ["greedy"]


def test_an_upload_that_comes_at_a_good_pace_is_not_ended_for_another(clock: Clock) -> None:
    room = UploadRoom(MUCH)
    with uploading(clock, room, "large") as share:
        share.cover(MUCH // 2)
        clock.drip(share, MUCH, 600)
        with room.taken(None, LIMIT, "modest") as other, pytest.raises(UploadsFull):
            other.cover(100)
    assert clock.cut == []


def test_a_slow_upload_ends_for_one_of_a_key_with_fewer_bytes_only(clock: Clock) -> None:
    """The pace of 40 KiB/s is allowed, but with it half of the room would be held for hours."""
    room = UploadRoom(MUCH)
    with uploading(clock, room, "slow") as slow, room.taken(None, LIMIT, "fast") as fast:
        fast.cover(MUCH // 2 - (100 << 20))
        slow.cover(MUCH // 2)
        clock.drip(slow, MUCH // 2 + (40 << 10) * 300, 300)
        with pytest.raises(UploadsFull):
            fast.cover(MUCH)
        assert clock.cut == []
        with room.taken(None, LIMIT, "modest") as modest:
            modest.cover(200 << 20)
        assert clock.cut == ["slow"]


def test_nothing_is_ended_if_that_gives_too_little_room(clock: Clock) -> None:
    room = UploadRoom(MUCH)
    with uploading(clock, room, "slow") as slow, room.taken(None, LIMIT, "fast") as fast:
        slow.cover(1000)
        clock.drip(slow, 2000, 120)
        fast.cover(MUCH - 2000)
        with pytest.raises(UploadsFull), room.taken(MUCH, LIMIT, "modest"):
            pass
    assert clock.cut == []


def test_a_new_upload_has_time_to_begin(clock: Clock) -> None:
    room = UploadRoom(100)
    with uploading(clock, room, "new") as new:
        new.cover(90)
        clock.now += 29
        with pytest.raises(UploadsFull), room.taken(50, LIMIT, "other"):
            pass
    assert clock.cut == []


def test_an_upload_that_has_come_is_not_ended_while_it_is_stored(clock: Clock) -> None:
    """To store 2 GiB in object storage can take minutes. A slow one ends in its place."""
    room = UploadRoom(2 * MUCH)
    with uploading(clock, room, "stored") as stored, uploading(clock, room, "slow") as slow:
        stored.cover(MUCH)
        stored.has_come = True
        slow.cover(MUCH // 2)
        clock.drip(slow, MUCH // 2 + 2000, 120)
        with room.taken(None, LIMIT, "modest") as modest:
            modest.cover(MUCH)
        assert clock.cut == ["slow"]
