"""The model of judging workers dead: with all rules no law breaks, and without any one of them a law breaks."""

import pytest

from tests.model.judging import RULES, Model, explore


def test_living_workers_are_never_marked_dead_and_dead_ones_always_are() -> None:
    states, found = explore(Model())  # type: ignore[no-untyped-call]
    assert found is None
    assert states > 1000


@pytest.mark.parametrize("rule", RULES)
def test_dropping_any_rule_of_judging_breaks_a_law(rule: str) -> None:
    _, found = explore(Model((rule,)))  # type: ignore[no-untyped-call]
    assert found
