"""The feed of readings: one reader serves all viewers, and nothing is read without a viewer."""

from collections.abc import Iterator

import gevent
import orjson
import pytest
from gevent.event import Event

from dtqs.api.stream.client_socket import ClientSocket, StreamPace
from dtqs.api.web import feed as feed_module
from dtqs.api.web.feed import DashboardFeed, ReadingsCrowded, Viewer
from dtqs.api.web.overview import Readings
from dtqs.errors import StoreUnavailable, TooManyRequests
from dtqs.readings import Health, Reading, WorkerCounts
from tests.unit.readings.values import WORKER, changed


class Source:
    """Count the readings, and fail on request."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.go_on = Event()
        self.go_on.set()

    def read(self) -> Reading:
        self.count += 1
        at = float(self.count)
        assert self.go_on.wait(10)
        if self.fails:
            raise RuntimeError("a fault in a reader")
        away = Health("PostgreSQL", "away", "gone")
        return Reading(at, away, away, None, None, None, None, None, None, None, None, None, ("gone",))


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def feed(source: Source, monkeypatch: pytest.MonkeyPatch) -> Iterator[DashboardFeed]:
    monkeypatch.setattr(feed_module, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(feed_module, "LINGER_SECONDS", 0.1)
    one = DashboardFeed(source.read)
    yield one
    one.stop()


def wait(condition: object) -> None:
    """Let greenlets run until the condition holds."""
    assert callable(condition)
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.005)


def test_one_reading_serves_all_viewers_and_reading_ends_with_the_last_viewer(
    feed: DashboardFeed, source: Source
) -> None:
    viewers = [Viewer() for _ in range(10)]
    for viewer in viewers:
        feed.add(viewer)
    wait(lambda: source.count >= 3)
    assert all(viewer.wake.is_set() for viewer in viewers)
    assert feed.number <= source.count <= feed.number + 1
    for viewer in viewers:
        feed.remove(viewer)
    wait(lambda: not feed.newest)
    count = source.count
    gevent.sleep(0.1)
    assert source.count == count
    feed.add(viewers[0])
    wait(lambda: source.count > count)


def test_a_single_reading_is_current_and_starts_no_feed(feed: DashboardFeed, source: Source) -> None:
    assert [orjson.loads(feed.one())["reading"]["at"] for _ in range(2)] == [1, 2]
    assert (feed.number, feed.newest) == (0, b"")
    feed.add(Viewer())
    wait(lambda: feed.newest)
    assert orjson.loads(feed.one()) == orjson.loads(feed.newest)


def test_callers_that_wait_for_a_reading_share_the_next_one(feed: DashboardFeed, source: Source) -> None:
    source.go_on.clear()
    callers = [gevent.spawn(feed.one) for _ in range(50)]
    gevent.idle()
    source.go_on.set()
    gevent.joinall(callers, timeout=10, raise_error=True)
    assert source.count == 2, "the first reading began before the others had come"
    assert {orjson.loads(one.value)["reading"]["at"] for one in callers[1:]} == {2}


def test_a_caller_waits_for_others_with_a_limit(
    feed: DashboardFeed, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "TURN_SECONDS", 0.01)
    source.go_on.clear()
    first = gevent.spawn(feed.one)
    gevent.idle()
    with pytest.raises(ReadingsCrowded):
        feed.one()
    source.go_on.set()
    assert first.get(timeout=10)


def test_the_feed_continues_after_a_reading_that_failed(feed: DashboardFeed, source: Source) -> None:
    feed.add(Viewer())
    wait(lambda: feed.number)
    source.fails = True
    wait(lambda: source.count > feed.number + 1)
    number, source.fails = feed.number, False
    wait(lambda: feed.number > number)


def test_at_shutdown_viewers_are_told_to_leave_and_new_ones_are_refused(feed: DashboardFeed) -> None:
    viewer = Viewer()
    feed.add(viewer)
    feed.end_streams()
    assert viewer.leaving
    assert feed.is_full


def test_a_chart_value_is_null_while_its_server_is_unreachable(feed: DashboardFeed) -> None:
    feed.one()
    (point,) = orjson.loads(feed.history())
    assert point.pop("at") == 1
    assert set(point.values()) == {None}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), TooManyRequests("wait", 5)])
def test_a_stream_that_cannot_ask_for_its_permission_goes_on(feed: DashboardFeed, error: Exception) -> None:
    def permit() -> None:
        raise error

    readings = Readings(feed, permit, ClientSocket(None), StreamPace(1.0, 1.0))
    readings._judge()
    assert readings._judging
    readings._judging.join(10)
    assert readings._judging.successful()
    assert not readings._viewer.leaving
    readings.close()


def test_the_charts_count_all_workers_and_not_only_those_of_the_list() -> None:
    counts = WorkerCounts(5000, 4100, 0, 5000, 0, 900, 12, 0)
    feed = DashboardFeed(lambda: changed(workers=(WORKER,), more_workers=4999, worker_counts=counts))
    point = orjson.loads(feed.one())["point"]
    assert (point["workers"], point["busy"]) == (5000, 4100)
