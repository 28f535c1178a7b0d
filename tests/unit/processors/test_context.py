"""What a processor's Context does of itself, before anything reaches the worker."""

import pytest

from dtqs.errors import PermanentError
from dtqs.turn import Turn
from tests.fix_processors import Attempt


def test_a_limit_that_is_named_twice_is_one_limit(attempt: Attempt) -> None:
    attempt.context().take_all([Turn("b", 1), Turn("a", 1), Turn("b", 1)])
    assert attempt.reports.turns == [Turn("b", 1), Turn("a", 1)]


@pytest.mark.parametrize("other", [Turn("a", 2), Turn("a", 1, 5)])
def test_two_rates_of_one_limit_are_refused_in_words_and_nothing_is_taken(attempt: Attempt, other: Turn) -> None:
    with pytest.raises(PermanentError, match="the rate limit a is asked for twice, with different rates or bursts"):
        attempt.context().take_all([Turn("b", 1), Turn("a", 1), other])
    assert attempt.reports.turns == []
