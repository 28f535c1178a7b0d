"""The rule of autoscaled pools, over simulated time."""

import pytest

from dtqs.config import PoolSection
from dtqs.supervisor.scaling import Load, Resize, Scaler

SECTION = PoolSection(min=1, max=20, target_wait_seconds=5)


def history(scaler: Scaler, loads: list[tuple[float, int, int | None]], workers: int = 1) -> list[tuple[float, int]]:
    """Follow (until, busy, due) second by second, and return each change with its time."""
    changes, now = [], 0.0
    for until, busy, due in loads:
        while now < until:
            if step := scaler.step(Load(workers, min(busy, workers), due), now):
                if step.workers < workers:
                    scaler.shrunk(now)
                workers = step.workers
                changes.append((now, workers))
            now += 1.0
    return changes


def test_a_pool_grows_to_its_need_at_most_twofold_in_five_seconds() -> None:
    scaler = Scaler(SECTION)
    scaler.served(10, 5)
    assert history(scaler, [(60, 20, 100)]) == [(0, 2), (5, 4), (10, 8), (15, 16), (20, 20)]


def test_the_wish_is_busy_plus_due_times_the_measured_time_over_the_target() -> None:
    scaler = Scaler(SECTION)
    scaler.served(100, 50)
    step = scaler.step(Load(3, 2, 11), 0.0)
    assert step == Resize(4, "2 busy, 11 due of 0.5 s each, target wait 5 s: 4 needed")
    assert scaler.step(Load(4, 2, 11), 1.0) is None


def test_without_a_measurement_each_due_task_asks_for_a_worker() -> None:
    step = Scaler(SECTION).step(Load(2, 1, 2), 0.0)
    assert step
    assert step.workers == 3


def test_a_pool_shrinks_by_one_in_ten_seconds_after_a_quiet_minute_and_not_below_its_least() -> None:
    scaler = Scaler(SECTION)
    scaler.served(10, 1)
    assert history(scaler, [(200, 0, 0)], workers=4) == [(60, 3), (70, 2), (80, 1)]


def test_load_within_the_minute_begins_it_again() -> None:
    scaler = Scaler(SECTION)
    scaler.served(10, 1)
    assert history(scaler, [(59, 0, 0), (60, 4, 0), (119, 0, 0), (122, 0, 0)], workers=4) == [(120, 3)]


def test_nothing_changes_while_the_number_of_due_tasks_is_unknown() -> None:
    assert history(Scaler(SECTION), [(200, 1, None)], workers=3) == []


def test_a_pool_below_its_least_is_filled() -> None:
    step = Scaler(PoolSection(min=4, max=8)).step(Load(1, 0, 0), 0.0)
    assert step
    assert step.workers == 4


@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [
        (float("inf"), float("inf")),
        (float("nan"), 1.0),
        (1.0, float("nan")),
        (1.0, float("inf")),
        (1e-300, 1e300),
        (1.0, 1e300),
        (1.0, -5.0),
        (-1.0, 5.0),
    ],
)
def test_damaged_numbers_teach_nothing(tasks: float, seconds: float) -> None:
    scaler = Scaler(SECTION)
    scaler.served(100, 50)
    scaler.served(tasks, seconds)
    assert scaler.step(Load(3, 2, 11), 0.0) == Resize(4, "2 busy, 11 due of 0.5 s each, target wait 5 s: 4 needed")
    assert scaler.step(Load(3, 2, 10**12), 1.0)
