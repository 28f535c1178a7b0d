"""When a worker asks for its successor: tasks run, and memory."""

import contextlib
import os
import resource
from collections.abc import Iterator

import pytest

from dtqs.config import PoolSection
from dtqs.worker.wear import Wear


def test_a_worker_without_limits_never_wears_out() -> None:
    wear = Wear("default", PoolSection())
    wear.ran(10**9, light=True)
    wear.read()
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
    wear.read()
    assert wear.reason is None


def test_a_worker_is_worn_when_its_tasks_have_left_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    wear = Wear("default", PoolSection())
    monkeypatch.setattr("threading.active_count", lambda: 501)
    assert wear.reason == "it has 501 threads, which its tasks have left behind"


def test_a_limit_below_the_memory_of_a_new_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtqs.worker.wear.resident_bytes", lambda: 70 << 20)
    refused = Wear("video", PoolSection(memory_limit=64 << 20)).refusal()
    assert refused
    assert refused.startswith("[pool:video] memory_limit = 64.0 MiB: a worker has 70.0 MiB before its first task")


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Return a list for descriptors that a test opens. At most 400 more can be open meanwhile."""
    before, found = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 400, before[1]))
    yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for each in found:
        os.close(each)


@pytest.mark.parametrize("light", [True, False])
def test_a_worker_whose_tasks_leave_files_open_is_worn_before_there_is_no_more(opened: list[int], light: bool) -> None:
    wear = Wear("default", PoolSection())
    assert wear.refusal() is None
    opened += [os.dup(0) for _ in range(90)]
    wear.ran(1, light)
    assert wear.reason is None, "a few connections and programs are no leak"
    opened += [os.dup(0) for _ in range(250)]
    wear.ran(1, light)
    assert (wear.reason or "").startswith("it has at least ")


def test_a_worker_without_a_free_descriptor_is_worn_when_its_heartbeat_looks(opened: list[int]) -> None:
    wear = Wear("default", PoolSection())
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.dup(0))
    wear.read()
    assert (wear.reason or "").startswith("it has all ")
