"""When a worker asks for its successor: tasks run, and memory."""

import pytest

from dtqs.config import PoolSection
from dtqs.worker.wear import Wear


def test_a_worker_without_limits_never_wears_out() -> None:
    wear = Wear("default", PoolSection())
    wear.ran(10**9, light=True)
    wear.read_memory()
    assert (wear.reason, wear.refusal()) == (None, None)


def test_a_worker_is_worn_after_max_tasks_and_up_to_a_quarter_more() -> None:
    worn_after = set()
    for _ in range(100):
        wear, ran = Wear("default", PoolSection(max_tasks=100)), 0
        while wear.reason is None:
            wear.ran(1, light=True)
            ran += 1
        worn_after.add(ran)
    assert min(worn_after) >= 100
    assert max(worn_after) <= 125
    assert len(worn_after) > 1, "the workers of a pool do not leave together"


def test_a_worker_is_worn_when_a_heartbeat_or_a_heavy_task_has_read_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = 40 << 20
    monkeypatch.setattr("dtqs.worker.wear.resident_bytes", lambda: used)
    wear = Wear("default", PoolSection(memory_limit=64 << 20))
    assert wear.refusal() is None
    used = 100 << 20
    wear.ran(1, light=True)
    assert wear.reason is None, "light tasks read nothing"
    wear.ran(1, light=False)
    assert wear.reason == "its memory is 100.0 MiB; memory_limit = 64.0 MiB"
    used = 50 << 20
    wear.read_memory()
    assert wear.reason is None


def test_a_limit_below_the_memory_of_a_new_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.worker.wear.resident_bytes", lambda: 70 << 20)
    refused = Wear("video", PoolSection(memory_limit=64 << 20)).refusal()
    assert refused
    assert refused.startswith("[pool:video] memory_limit = 64.0 MiB: a worker has 70.0 MiB before its first task")
