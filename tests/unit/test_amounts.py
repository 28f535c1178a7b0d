"""Amounts, ages and times for people."""

import pytest

from dtqs.amounts import age, plural, span, to_the_second


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (-1, "0 s"),
        (45.4, "45 s"),
        (60, "1 min"),
        (89.6, "1 min 30 s"),
        (7594, "2 h 6 min"),
        (86400, "1 d"),
        (270000, "3 d 3 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_count_agrees_with_its_noun() -> None:
    assert [plural(1, "consumer"), plural(0, "worker"), plural(2000, "API process")] == [
        "1 consumer",
        "0 workers",
        "2,000 API processes",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (3 * 86400, "3 d")]
)
def test_an_age_has_one_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_a_time_is_cut_to_the_second() -> None:
    assert to_the_second("2026-11-24T15:49:00.123456+00:00") == "2026-11-24T15:49:00Z"
