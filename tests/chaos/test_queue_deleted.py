"""A task queue deleted or purged: with many pending tasks in it, repeatedly under load, and without consumers."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.support.fix_system import Sections
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial, delete_queue, purge_queue

# within a test's time only the repair helps: a confirmed hint is published again after ten minutes
LONG = {"lease": {"grace_seconds": 20, "far_out_seconds": 600}}


def test_a_thousand_pending_tasks_are_done_within_seconds_after_their_queue_was_deleted(trial: Try) -> None:
    system = trial({**LONG, "pool:default": {"workers": 2}}, api=True)
    busy = [system.put_one({"sleep_seconds": 1.5}) for _ in range(2)]
    system.hint(busy[:1])
    system.hint(busy[1:])
    for task_id in busy:
        system.running(task_id)
    system.submit_many(1000)
    delete_queue(system.amqp_url)
    deleted_at = time.monotonic()
    assert system.done() == {"completed": 1002}
    assert time.monotonic() - deleted_at < 12


@pytest.mark.parametrize(
    ("lose", "lease"), [(delete_queue, LONG), (purge_queue, {"lease": {"grace_seconds": 1, "far_out_seconds": 600}})]
)
def test_tasks_whose_hints_were_lost_without_workers_are_done_when_workers_start(
    trial: Try, lose: Callable[[str], None], lease: Sections
) -> None:
    """A deleted queue is noticed at once, and an empty one after the grace of the hints that it should have."""
    system = trial(lease, api=True)
    assert system.stop_supervisor() == 0
    system.submit_many(300)
    lose(system.amqp_url)
    system.start_supervisor()
    assert system.done(15) == {"completed": 300}


def test_a_long_backlog_has_all_its_hints_again_soon_after_its_queue_was_purged(trial: Try) -> None:
    """A batch a second would take long, and the first hint that is ready again must not end the repair."""
    system = trial({"lease": {"grace_seconds": 1, "far_out_seconds": 600}, "pool:default": {"workers": 1}}, api=True)
    busy = system.put_one({"sleep_seconds": 60})
    system.hint([busy])
    system.running(busy)
    for _ in range(15):
        system.submit_many(1000)
    unconfirmed = "SELECT 1 FROM backlog WHERE published_at IS NULL LIMIT 1"
    eventually(lambda: not system.rows(unconfirmed), 10, "every hint is confirmed")
    ((purged_at,),) = system.rows("SELECT now()::text")
    purge_queue(system.amqp_url)
    lost = f"SELECT 1 FROM backlog WHERE published_at <= '{purged_at}' LIMIT 1"
    eventually(lambda: not system.rows(lost), 12, "every hint is published again, though no worker takes any")
    assert system.client.post(f"/tasks/{busy}/cancel").status_code == 202
    assert system.done(60) == {"completed": 15_000, "cancelled": 1}


def test_a_keeper_notices_a_deleted_queue_without_consumers(trial: Try) -> None:
    """Busy workers have no consumer, so the broker tells them nothing about the queue."""
    system = trial({**LONG, "pool:default": {"workers": 1}}, api=True)
    busy = system.put_one({"sleep_seconds": 4})
    system.hint([busy])
    system.running(busy)
    ids = system.submit_many(100)
    delete_queue(system.amqp_url)
    eventually(lambda: "the queue was missing" in system.log("supervisor"), 4)
    assert set(system.outcomes(ids)) == {"completed"}
    system.done()


def test_a_queue_deleted_repeatedly_under_load_loses_no_task(trial: Try) -> None:
    system = trial({"lease": {"grace_seconds": 2}}, api=True)
    ids: list[str] = []
    end = threading.Event()

    def submit() -> None:
        while not end.is_set():
            ids.append(system.submit())
            ids.extend(system.submit_many(20))

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            at = len(ids)
            eventually(lambda: more(system, at), 10, "submits go on")  # noqa: B023
            delete_queue(system.amqp_url)
    finally:
        end.set()
        for thread in threads:
            thread.join(20)
    assert set(system.outcomes(ids, 25)) == {"completed"}
    system.done()
    assert system.spent() == {1: len(ids)}


def more(system: Trial, than: int) -> bool:
    return bool(system.rows("SELECT count(*) FROM tasks")[0][0] >= than + 150)
