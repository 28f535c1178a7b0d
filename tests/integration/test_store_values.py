"""Values return from PostgreSQL unchanged."""

import orjson

from dtqs.settlement import Kind, Settlement
from tests.support.fix_store import World

ODD = '{"z":1e16,"a":-0.0,"whole":18446744073709551615,"small":5e-324,"deep":%s}' % ("[" * 200 + "]" * 200)
"""jsonb would make 1e16 a whole number and -0.0 a 0.0, and sort the keys."""


def test_numbers_and_the_order_of_keys_stay_unchanged(world: World) -> None:
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
