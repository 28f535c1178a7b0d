"""The console's search for tasks that match a filter, and its reports of failed reads."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from dtqs.config import RabbitmqSection
from dtqs.console import listing
from dtqs.console.feed import ConsoleFeed
from dtqs.console.listing import Listing
from dtqs.console.snapshot import TaskWanted, Wanted
from dtqs.readings import SystemReader
from dtqs.store import reads
from dtqs.task import TaskRecord
from tests.support.fix_store import World
from tests.support.helpers import eventually


@pytest.fixture
def feed(world: World, amqp_url: str) -> Iterator[ConsoleFeed]:
    reader = SystemReader(world.store, RabbitmqSection(url=SecretStr(amqp_url)), "the test's reader")
    made = ConsoleFeed(reader, world.store.reads, lambda action, task_id: f"{action} {task_id}", 0.1)
    made.start()
    yield made
    made.stop()
    reader.close()


def ids(found: tuple[TaskRecord, ...]) -> list[str]:
    return [task.task_id for task in found]


def later(world: World, count: int, task_type: str) -> list[str]:
    """Submit tasks whose ids follow all earlier ones; ids of one millisecond may be out of order."""
    world.execute("SELECT pg_sleep(0.002)")
    return world.submit(count, task_type=task_type)


def test_a_whole_id_finds_its_task(world: World) -> None:
    task = world.submit(3)[1]
    found, more = Listing(world.store.reads).look(TaskWanted(prefix=task), 0)
    assert (ids(found), more) == ([task], False)
    assert Listing(world.store.reads).look(TaskWanted(prefix=task, status="failed"), 0) == ((), False)
    assert Listing(world.store.reads).look(TaskWanted(prefix="00000000-0000-7000-8000-000000000000"), 0) == ((), False)


def test_the_beginning_of_an_id_finds_all_tasks_with_it(world: World) -> None:
    tasks = world.submit(3)
    found, more = Listing(world.store.reads).look(TaskWanted(prefix=tasks[0][:13]), 0)
    assert (set(ids(found)) >= {tasks[0]}, more) == (True, False)


def test_a_match_is_found_behind_many_other_tasks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "LOOK_LIMIT", 3)
    monkeypatch.setattr(reads, "FAR_LIMIT", 2)
    monkeypatch.setattr(listing, "_PAGES", 2)
    (old,), _, (near,), _ = (
        later(world, count, task_type) for count, task_type in ((1, "image"), (9, "echo"), (1, "image"), (11, "echo"))
    )
    looking, wanted = Listing(world.store.reads), TaskWanted(task_type="image")
    assert looking.look(wanted, 0) == ((), True)
    found, more = looking.look(wanted, 1)
    assert (ids(found), more) == ([near], True)
    found, more = looking.look(wanted, 2)
    assert (ids(found), more) == ([near, old], False)
    world.run([old])
    found, _ = looking.look(wanted, 2)
    assert [task.status for task in found] == ["pending", "completed"]
    assert looking.look(wanted, 0) == ((), True)


def test_the_notice_of_an_action_is_numbered(feed: ConsoleFeed) -> None:
    feed.act("cancel", "x")
    eventually(lambda: feed.snapshot.notice_number == 1, what="the first notice")
    feed.act("cancel", "x")
    eventually(lambda: feed.snapshot.notice_number == 2, what="the second notice")
    assert feed.snapshot.notice == "cancel x"


def test_a_failed_reading_is_reported_until_one_succeeds(feed: ConsoleFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    eventually(lambda: feed.snapshot.reading is not None, what="a reading")
    with monkeypatch.context() as broken:
        broken.setattr(SystemReader, "read", lambda *_: int("no number"))
        eventually(lambda: "ValueError" in feed.snapshot.broken, what="the failure")
        assert feed.snapshot.stale
    eventually(lambda: not feed.snapshot.broken, what="a reading again")


def test_a_refusal_of_postgresql_is_reported(feed: ConsoleFeed) -> None:
    eventually(lambda: feed.snapshot.reading is not None, what="a reading")
    feed.want(Wanted("queue", tasks=TaskWanted(prefix="zzzz")))
    eventually(lambda: "invalid input syntax" in feed.snapshot.fault, what="the fault")
    feed.want(Wanted())
    eventually(lambda: not feed.snapshot.fault, what="no fault")
