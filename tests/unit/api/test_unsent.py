"""The bytes that all streams of a process hold for their clients: slow readers end, and others stay."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import gevent
import pytest
from gevent import socket

from dtqs.api.server.connection import Connection
from dtqs.api.server.waiting import RequestWaits
from dtqs.api.stream.client_socket import ClientSocket, StreamPace
from dtqs.api.stream.frames import StreamFrame
from dtqs.api.stream.hub import Hub
from dtqs.api.stream.resource import Stream
from dtqs.api.stream.watcher import Watcher

MOST = 1000
NOTHING = cast(Any, None)
TASK = "01900000-0000-7000-8000-000000000001"


def frame(size: int) -> StreamFrame:
    return StreamFrame(TASK, 1, "progress", b"x" * size)


@contextmanager
def no_file_left() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def hub() -> Hub:
    return Hub(NOTHING, 3600, MOST)


def opened(hub: Hub, holder: str, *sizes: int) -> Watcher:
    """Open a stream with frames of these sizes in its queue."""
    watcher = Watcher({TASK: 0}, holder)
    hub.add(watcher)
    hub.ready(watcher)
    for size in sizes:
        watcher.put(frame(size))
    return watcher


def counted(hub: Hub) -> int:
    return hub._registry._unsent.size_bytes


def test_the_key_with_the_most_bytes_loses_its_stream_with_the_most(hub: Hub) -> None:
    small, large = opened(hub, "greedy", 200), opened(hub, "greedy", 300, 100)
    modest = opened(hub, "modest", 350)
    assert not any(one.leaving for one in (small, large, modest))
    modest.put(frame(100))
    assert [one.leaving for one in (small, large, modest)] == [False, True, False]
    assert not large.queue
    assert counted(hub) == 650
    large.put(frame(500))
    assert counted(hub) == 650, "an ended stream gets nothing more"
    assert not large.has_room


def test_a_search_for_streams_to_end_makes_room_for_many_frames(hub: Hub) -> None:
    streams = [opened(hub, "greedy", 10) for _ in range(MOST // 10)]
    streams[0].put(frame(1))
    ended = [one.leaving for one in streams]
    assert sum(ended) == MOST // 10 // 16 + 1
    assert ended[0], "the largest one ends first"
    assert counted(hub) <= MOST - MOST // 16
    for one in streams[-5:]:
        one.put(frame(10))
    assert [one.leaving for one in streams] == ended, "these have room without another search"


def test_a_stream_that_holds_too_much_before_it_is_counted_ends(hub: Hub) -> None:
    opened(hub, "one", 100)
    early = Watcher({TASK: 0}, "two")
    for size in (MOST - 50, 10, 10):
        early.put(frame(size))
    hub.add(early)
    assert early.leaving
    assert (counted(hub), early.queued_bytes, len(early.queue)) == (100, 0, 0)


def test_an_event_of_many_streams_is_counted_once(hub: Hub) -> None:
    shared = frame(400)
    streams = [opened(hub, "one") for _ in range(50)]
    for one in streams:
        one.put(shared)
    assert counted(hub) == 400
    for one in streams[1:]:
        one.take()
    assert counted(hub) == 400
    hub.remove(streams[0], [TASK])
    assert counted(hub) == 0
    assert not any(one.leaving for one in streams)


def test_a_stream_alone_may_hold_an_outcome_larger_than_the_bound(hub: Hub) -> None:
    idle = opened(hub, "one", 10)
    idle.take()
    alone = opened(hub, "one", 5 * MOST)
    assert not alone.leaving
    opened(hub, "two", 10)
    assert alone.leaving


def test_the_part_that_is_being_sent_counts_until_it_is_sent(hub: Hub) -> None:
    watcher = opened(hub, "one", 300)
    stream = Stream(hub, watcher, ClientSocket(None), [TASK], {}, StreamPace(0.01, 1.0), b"y" * 200)
    assert len(next(stream)) > 500
    assert counted(hub) > 500, "it holds the event and its opening"
    assert next(stream).startswith(b":")
    assert counted(hub) < 20
    stream.close()
    stream.close()
    assert counted(hub) == 0


def test_a_client_that_takes_nothing_is_cut_off_for_the_others(hub: Hub) -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 12)
    with ours, theirs:
        watcher, connection = opened(hub, "one", MOST - 1), Connection(ours, 30, RequestWaits(lambda: 30, 10))
        stream = Stream(hub, watcher, ClientSocket(connection), [TASK], {}, StreamPace(60, 1.0), b"y" * (1 << 20))
        sending = gevent.spawn(lambda: connection.sendall(next(stream)))
        sending.join(0.01)
        assert not sending.ready(), "the client does not read"
        with no_file_left():
            opened(hub, "two", 10)
        with pytest.raises(BrokenPipeError):
            sending.get(timeout=10)
        assert list(stream)[-1] == b"retry: 1000\n\n", "the stream itself ends as others do"
