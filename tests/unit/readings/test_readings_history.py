"""Rates and series from several readings: differences of totals over a minimum time, never negative."""

import dataclasses

from dtqs.readings import History, Reading
from tests.unit.readings.values import HEALTHY, changed


def at(seconds: float, completed: int) -> tuple[Reading, float]:
    """Return a reading and its monotonic time."""
    assert HEALTHY.totals
    return changed(totals=dataclasses.replace(HEALTHY.totals, completed=completed)), 1000.0 + seconds


def history(*readings: tuple[Reading, float]) -> History:
    made = History()
    for reading, now in readings:
        made.add(reading, now)
    return made


def test_one_reading_gives_no_rate() -> None:
    assert history(at(0, 0)).rates is None
    assert History().series("completed", 10) == []


def test_a_rate_is_the_difference_of_totals_over_the_last_seconds() -> None:
    rates = history(*(at(i, 5 * i) for i in range(0, 60, 2))).rates
    assert rates is not None
    assert rates.completed == 5.0
    assert rates.failed == 0.0


def test_counters_that_are_written_every_few_seconds_give_a_steady_rate() -> None:
    rates = history(*(at(i, 5 * (i // 5 * 5)) for i in range(61))).rates
    assert rates is not None
    assert rates.completed == 5.0


def test_falling_totals_give_no_negative_rate() -> None:
    rates = history(at(0, 100), at(10, 3)).rates
    assert rates is not None
    assert rates.completed == 0.0


def test_a_clock_that_is_set_back_or_forth_changes_neither_rates_nor_memory() -> None:
    made = History()
    for i in range(0, 2000, 2):
        reading, now = at(i, 5 * i)
        made.add(dataclasses.replace(reading, at=1e9 - 3600 * (i // 100 % 3)), now)
        assert len(made._points) < 200
        assert i < 10 or (made.rates and made.rates.completed == 5.0)
    assert made.series("completed", 30) == [5.0] * 30


def test_a_series_is_cut_into_equal_parts_oldest_first() -> None:
    series = history(*(at(i, 0 if i < 150 else 10 * (i - 150)) for i in range(301))).series("completed", 30)
    assert len(series) == 30
    assert series[:14] == [0.0] * 14
    assert series[-10:] == [10.0] * 10


def test_a_series_of_a_young_history_is_short() -> None:
    assert history(at(0, 0), at(2, 4)).series("completed", 30) == [2.0]


def test_a_reading_without_the_database_leaves_the_history_unchanged() -> None:
    made = history(at(0, 0), at(10, 20))
    made.add(changed(totals=None), 1012.0)
    assert made.rates is not None
    assert made.rates.completed == 2.0


def test_old_readings_are_dropped() -> None:
    made = history(*(at(i, i) for i in range(0, 4000, 10)))
    assert len(made._points) < 40
