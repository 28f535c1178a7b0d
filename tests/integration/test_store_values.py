"""Values on their way through PostgreSQL: they come back as they went in."""

import orjson

from dtqs.settlement import Kind, Settlement
from dtqs.store.driver.schema import migrate
from tests.support.fix_store import World

ODD = '{"z":1e16,"a":-0.0,"whole":18446744073709551615,"small":5e-324,"deep":%s}' % ("[" * 200 + "]" * 200)
"""jsonb would make 1e16 a whole number and -0.0 a 0.0, and sort the keys."""


def test_numbers_and_the_order_of_keys_stay_as_they_are(world: World) -> None:
    (task,), worker = world.submit(payload=ODD), world.worker()
    lease = "01929f3a-0000-7000-8000-000000000001"
    claimed, _ = world.store.leases.claim(worker, lease, [task])
    assert claimed[0].payload == ODD
    world.store.leases.report(lease, task, 1, "log", "info", "odd", orjson.loads(ODD))
    world.store.leases.finish(lease, [Settlement(task, Kind.COMPLETED, ODD)])
    record = world.store.reads.task(task)
    kept = [record.payload, record.result, next(row.data for row in world.store.reads.logs(task) if row.event == "log")]
    assert [repr(value) for value in kept] == [repr(orjson.loads(ODD))] * 3


def test_an_error_keeps_its_place_beside_many_outcomes(world: World) -> None:
    tasks, worker = world.submit(2, payload=ODD), world.worker()
    lease = world.claim(worker, tasks)
    world.store.leases.finish(
        lease, [Settlement(tasks[0], Kind.FAILED, '{"message":"no luck"}'), Settlement(tasks[1], Kind.COMPLETED, ODD)]
    )
    assert repr(world.store.reads.task(tasks[1]).result) == repr(orjson.loads(ODD))
    assert world.store.reads.task(tasks[0]).error == {"message": "no luck"}


def test_what_version_2_stored_is_there_after_the_schema_of_today(fresh_world: World) -> None:
    (task,) = fresh_world.submit(payload='{"a":1.5}')
    fresh_world.run([task], value='{"b":[2]}')
    fresh_world.execute("DROP VIEW task_status")
    fresh_world.execute(
        "ALTER TABLE tasks ALTER payload TYPE jsonb USING payload::jsonb, ALTER result TYPE jsonb USING result::jsonb, ALTER error TYPE jsonb"
    )
    fresh_world.execute("ALTER TABLE logs ALTER data TYPE jsonb USING data::jsonb")
    migrate(fresh_world.section)
    migrate(fresh_world.section)
    record = fresh_world.store.reads.task(task)
    assert (record.payload, record.result) == ({"a": 1.5}, {"b": [2]})
    types = "SELECT DISTINCT udt_name FROM information_schema.columns WHERE table_name IN ('tasks', 'logs') AND udt_name LIKE 'json%%'"
    assert fresh_world.value(types) == "json"
    fresh_world.check()
