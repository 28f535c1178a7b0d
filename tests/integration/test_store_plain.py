"""Statements without a cursor store and return the same as the driver, in every state of a connection."""

import json
from dataclasses import replace

import orjson
import pytest

from dtqs.config import LeaseSection
from dtqs.errors import StoreRefused
from dtqs.store import Store
from dtqs.store.reads import Reads
from dtqs.task import Claimed, NewTask
from dtqs.uuid7 import uuid7
from tests.support.fix_store import World


def tasks(count: int) -> list[NewTask]:
    payload = '{"text": "quo\\"ted \\\\ {}, \\u20ac € 😀"}'
    return [
        NewTask(uuid7(), "echo", True, payload, tags=('a"b', "c\\d", "{e,f}"), delay_seconds=0.0 if n % 2 else 60.0)
        for n in range(count)
    ]


@pytest.mark.parametrize("prepared", [True, False])
def test_stored_values_equal_the_given_ones(world: World, prepared: bool) -> None:
    section = world.section.model_copy(update={"prepared_statements": prepared})
    store = Store(section, LeaseSection(), size=1, name="plain")
    store.start()
    try:
        for _ in range(2):
            given = tasks(4)
            stored = store.tasks.insert(given)
            assert [one.task_id for one in stored] == [one.task_id for one in given]
            assert [one.due for one in stored] == [False, True, False, True]
            assert store.tasks.insert(given) == []
            read = store.reads.tasks([one.task_id for one in given])
            assert [one.tags for one in read] == [one.tags for one in given]
            assert {one.payload["text"] for one in read} == {'quo"ted \\ {}, € € 😀'}
            published: dict[str, str] = dict(world.rows("SELECT task_id::text, publish_at::text FROM backlog"))
            assert all(published[one.task_id] == one.publish_at for one in stored)
    finally:
        store.stop()


def test_a_large_value_stays_text_where_it_is_only_written_again(world: World) -> None:
    large = '{"a":[' + ",".join(["{}", "1e16", '"\\u00e9"', "-0.0"] * 5000) + "]}"
    in_lines = large.replace(",", ",\n")
    small, first, second = '{"a":1}', large, in_lines
    ids = [world.submit(1, payload=payload)[0] for payload in (small, first, second)]
    payloads = [one.payload for one in Reads(world.store.database, keeps_text=True).tasks(ids)]
    assert payloads[0] == {"a": 1}
    assert isinstance(payloads[1], orjson.Fragment)
    assert orjson.dumps(payloads[1]).decode() == large
    assert payloads[2] == json.loads(large), "an event of a stream is one line"
    assert [one.payload for one in world.store.reads.tasks(ids)] == [{"a": 1}, *2 * [json.loads(large)]]


def test_large_data_of_a_log_stays_text_where_it_is_only_written_again(world: World) -> None:
    (task,) = world.submit(1)
    lease = world.claim(world.worker(), [task])
    large: list[dict[str, dict[str, int]]] = [{"a": {}}] * 5000
    for data in ({"a": 1}, large, None):
        world.store.leases.report(lease, task, 1, "log", "info", "got", data)
    small, text, none = [row.data for row in Reads(world.store.database, keeps_text=True).logs(task)]
    assert (small, none) == ({"a": 1}, None)
    assert isinstance(text, orjson.Fragment)
    assert json.loads(orjson.dumps(text)) == large
    assert [row.data for row in world.store.reads.logs(task)] == [{"a": 1}, large, None]


def test_many_values_below_the_size_of_a_large_one_are_not_parsed(world: World) -> None:
    """1,000 values of 8 KB cost as much as one of 8 MB."""
    kept, payload = Reads(world.store.database, keeps_text=True), json.dumps([{"a": {}}] * 500)
    ids = world.submit(50, payload=payload)
    assert not isinstance(kept.task(ids[0]).payload, orjson.Fragment)
    parsed = [one for one in kept.tasks(ids) if not isinstance(one.payload, orjson.Fragment)]
    assert parsed == []
    assert kept.tasks(ids)[0].tags == world.store.reads.tasks(ids)[0].tags
    assert {json.dumps(one.payload) for one in world.store.reads.tasks(ids)} == {payload}


@pytest.mark.parametrize("count", [1, 6], ids=["few, without a cursor", "more, with one"])
def test_claimed_values_equal_the_stored_ones(world: World, count: int) -> None:
    ids = world.submit(
        count, timeout_seconds=2.5, max_retries=3, payload='{"a": "\u20ac"}', origin="r 1"
    ) + world.submit(light=False)
    claimed = [
        replace(one, waited_ms=0)
        for part in (ids[:count], ids[count:])
        for one in world.store.leases.claim(world.worker(), uuid7(), part)[0]
    ]
    assert sorted(claimed, key=lambda one: one.task_id) == [
        *(
            Claimed(task_id, "echo", '{"a": "€"}', 1, 3, 2.5, True, origin="r 1", is_new=True)
            for task_id in ids[:count]
        ),
        Claimed(ids[count], "echo", "{}", 1, 5, None, False, is_new=True),
    ]


def test_a_connection_without_its_prepared_statements_prepares_again(world: World) -> None:
    world.store.tasks.insert(tasks(1))
    with world.store.database._connection() as connection:
        connection.execute("DEALLOCATE ALL", prepare=False)
    assert len(world.store.tasks.insert(tasks(1))) == 1


def test_a_value_that_cannot_be_stored_is_refused_and_the_connection_stays(world: World) -> None:
    for _ in range(3):
        with pytest.raises(StoreRefused):
            world.store.tasks.insert([NewTask(uuid7(), "echo", True, '{"a": }')])
        assert len(world.store.tasks.insert(tasks(2))) == 2
