"""A step of the database's clock is detected against the monotonic clock, also with slow replies."""

import dataclasses

import pytest

from dtqs.keeper.clock import DatabaseClock


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (5000.5, None),
        (5000.31, None),  # a reply of 0.2 s explains it
        (5001.6, None),
        (4940.5, (-59.8, 5000.7)),
        (4999.4, None),  # back by 0.9 s: too small to act on
        (4999.2, (-1.1, 5000.7)),
        (8600.5, (3599.8, 8600.5)),
    ],
)
def test_a_step_is_a_change_that_the_time_between_two_looks_does_not_explain(
    shown: float, expected: tuple[float, float] | None
) -> None:
    clock = DatabaseClock()
    assert clock.note(5000.0, 100.0, 100.1) is None
    step = clock.note(shown, 100.4, 100.7)
    assert (step and dataclasses.astuple(step)) == (expected and pytest.approx(expected))
