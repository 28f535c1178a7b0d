"""The feed of readings: one reader for all who look, and none while nobody does."""

from collections.abc import Iterator

import gevent
import orjson
import pytest

from dtqs.api.web import feed as feed_module
from dtqs.api.web.feed import DashboardFeed, Viewer
from dtqs.readings import Health, Reading


class Source:
    """Counts how often it is read, and fails when it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    def read(self) -> Reading:
        self.count += 1
        if self.fails:
            raise RuntimeError("a fault in a reader")
        away = Health("PostgreSQL", "away", "gone")
        return Reading(float(self.count), away, away, None, None, None, None, None, None, None, None, None, ("gone",))


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
    """Let greenlets run until it is so."""
    assert callable(condition)
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.005)


def test_it_reads_once_for_all_while_somebody_looks_and_then_no_more(feed: DashboardFeed, source: Source) -> None:
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


def test_a_single_reading_is_of_now_and_starts_nothing(feed: DashboardFeed, source: Source) -> None:
    assert [orjson.loads(feed.one())["reading"]["at"] for _ in range(2)] == [1, 2]
    assert (feed.number, feed.newest) == (0, b"")
    feed.add(Viewer())
    wait(lambda: feed.newest)
    assert orjson.loads(feed.one()) == orjson.loads(feed.newest)


def test_a_reading_that_fails_is_not_the_last(feed: DashboardFeed, source: Source) -> None:
    feed.add(Viewer())
    wait(lambda: feed.number)
    source.fails = True
    wait(lambda: source.count > feed.number + 1)
    number, source.fails = feed.number, False
    wait(lambda: feed.number > number)


def test_at_shutdown_viewers_are_told_to_leave_and_no_more_come(feed: DashboardFeed) -> None:
    viewer = Viewer()
    feed.add(viewer)
    feed.end_streams()
    assert viewer.leaving
    assert feed.is_full


def test_what_the_charts_need_is_null_where_a_server_is_away(feed: DashboardFeed) -> None:
    feed.one()
    (point,) = orjson.loads(feed.history())
    assert point.pop("at") == 1
    assert set(point.values()) == {None}
