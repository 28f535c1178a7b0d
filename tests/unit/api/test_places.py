"""The places for streams: one key cannot take them all."""

from typing import Any, cast

from dtqs.api.stream.hub import Hub
from dtqs.api.stream.watcher import Watcher

MOST = 6
NOTHING = cast(Any, None)


def opened(hub: Hub, holder: str, count: int) -> list[Watcher]:
    """Open streams as far as the hub admits them. A stream that must leave does so at once."""
    watchers = []
    for number in range(count):
        if hub.admits(holder, MOST):
            watcher = Watcher({f"{holder} {number}": 0}, holder)
            watchers.append(watcher)
            hub.add(watcher)
    return watchers


def end_leaving(hub: Hub, watchers: list[Watcher]) -> list[Watcher]:
    """Let the streams end that must, and return the others."""
    for watcher in watchers:
        if watcher.leaving:
            hub.remove(watcher, list(watcher.positions))
    return [watcher for watcher in watchers if not watcher.leaving]


def test_a_key_that_holds_all_places_gives_up_its_newest_for_another_key() -> None:
    hub = Hub(NOTHING, 3600)
    greedy = opened(hub, "greedy", 10)
    assert len(greedy) == MOST, "the places are limited"
    first = opened(hub, "ada", 1)
    assert len(first) == 1
    assert [watcher.leaving for watcher in greedy] == [False] * 5 + [True]
    assert hub.count == MOST + 1, "the ended stream leaves in its own time"
    greedy = end_leaving(hub, greedy)
    assert hub.count == MOST


def test_streams_by_tickets_count_for_the_key_of_their_tasks() -> None:
    hub = Hub(NOTHING, 3600)
    greedy: list[Watcher] = []
    for number in range(MOST):
        (stream,) = opened(hub, f"ticket {number}", 1)
        hub.pass_to(stream, "greedy")
        greedy.append(stream)
    assert not hub.admits("greedy", MOST)
    assert len(opened(hub, "ada", 1)) == 1, "with tickets as holders, each had one stream, and nobody had most"
    left = end_leaving(hub, greedy)
    assert len(left) == MOST - 1
    gone = next(stream for stream in greedy if stream not in left)
    hub.pass_to(gone, "bob")
    hub.remove(gone, list(gone.positions))
    assert hub.count == MOST, "a stream that has left is not counted again"


def test_keys_share_the_places_and_take_no_more_from_one_another() -> None:
    hub = Hub(NOTHING, 3600)
    greedy = opened(hub, "greedy", MOST)
    others = opened(hub, "ada", 10)
    assert (len(end_leaving(hub, greedy)), len(others)) == (3, 3), "half each, and then no more"
    assert hub.count == MOST
    third = opened(hub, "bob", 10)
    assert len(third) == 2
    assert (len(end_leaving(hub, greedy)), len(end_leaving(hub, others))) == (2, 2)
    assert not hub.admits("bob", MOST)
    hub.remove(third[0], list(third[0].positions))
    hub.remove(third[0], list(third[0].positions))
    assert hub.admits("greedy", MOST), "a free place is for anybody"
    hub.end_streams()
    assert not hub.admits("ada", MOST)
