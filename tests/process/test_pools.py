"""Two pools on their own queues under load: each type runs in its pool, and a changed route moves what waits."""

import os
import signal

from dtqs.broker.checkup import look_at_each
from dtqs.broker.topology import QUEUE
from tests.support.fix_trial import Try
from tests.support.helpers import eventually
from tests.support.trial import Trial

CPU = min(os.sched_getaffinity(0))
SLOW, MOVED = "slow_queue", "moved_queue"
# Within a test's time no keeper publishes a confirmed hint again: only the emptied queue gives its tasks new ones.
POOLS = {
    "pool:default": {"workers": 1, "task_types": "echo"},
    "pool:slow": {"workers": 1, "task_types": "nap", "nice": 15, "cpu_affinity": CPU},
    "routes": {"nap": SLOW},
    "lease": {"grace_seconds": 20, "far_out_seconds": 600},
}


def messages(system: Trial, queue: str) -> int | None:
    """Return the messages of a queue; None: it does not exist."""
    patient = system.config.rabbitmq.model_copy(update={"connect_timeout_seconds": 30.0})
    look = look_at_each(patient, "trial", (queue,))[queue]
    return look.ready if look else None


def pools_of(system: Trial, task_type: str) -> list[str]:
    query = "SELECT DISTINCT w.pool FROM tasks t JOIN workers w ON w.id = t.worker_id WHERE t.task_type = %s"
    return [row[0] for row in system.rows(query, task_type)]


def test_each_pool_runs_its_types_and_a_changed_route_moves_what_waits(trial: Try) -> None:
    system = trial(POOLS, api=True)
    held = system.submit({"seconds": 60}, "nap")
    victim = system.running(held)
    assert os.getpriority(os.PRIO_PROCESS, victim.pid) == max(15, os.getpriority(os.PRIO_PROCESS, 0))
    assert os.sched_getaffinity(victim.pid) == {CPU}
    assert "pool default runs echo alone, but its queue task_queue also carries " in system.log("supervisor")
    light = system.submit_many(300)
    waiting = [one for priority in range(10) for one in system.submit_many(3, {}, "nap", priority=priority)]
    assert set(system.outcomes(light, 20)) == {"completed"}
    assert pools_of(system, "echo") == ["default"]
    eventually(lambda: (messages(system, SLOW) or 0) >= 10, 10, "the hints wait in the queue of the route")
    assert messages(system, QUEUE) == 0
    system.kill(victim.pid)
    eventually(lambda: system.attempts(held) == 1, 10, "the death of its worker is known")
    waiting += system.submit_many(20, {"seconds": 0.3}, "nap")
    assert system.stop_supervisor(signal.SIGINT) == 0
    assert system.client.post(f"/tasks/{held}/cancel").status_code == 200
    system.kill_api()  # an API with the old route would still publish there
    assert system.rows("SELECT 1 FROM backlog"), "tasks wait in the old queue"

    system.change({"routes": {"nap": MOVED}})
    system.start_supervisor()
    assert set(system.outcomes(waiting, 20)) == {"completed"}
    assert pools_of(system, "nap") == ["slow"]
    assert system.rows("SELECT DISTINCT attempts FROM tasks WHERE id = ANY (%s::uuid[])", waiting) == [(1,)]
    # RabbitMQ cannot delete a quorum queue on the condition that it is empty
    left = 0 if system.config.rabbitmq.queue_type == "quorum" else None
    eventually(lambda: messages(system, SLOW) == left, 10, "the old queue is deleted")
    strayed = system.put_one(task_type="nap")
    system.hint([strayed], task_type="nap")
    assert system.outcome(strayed, 5) == "completed", "a hint in another pool's queue takes a detour, and does not wait"
    assert (pools_of(system, "nap"), system.attempts(strayed)) == (["slow"], 1)
    system.done()
