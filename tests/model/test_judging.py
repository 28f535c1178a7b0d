"""The model of who judges the living: with all rules no law breaks, and a dropped rule breaks one."""

import pytest

from tests.model.judging import RULES, Model, explore


def test_nobody_who_lives_is_judged_and_everybody_who_died_is() -> None:
    states, found = explore(Model())  # type: ignore[no-untyped-call]
    assert found is None
    assert states > 1000


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_judging_is_needed(rule: str) -> None:
    _, found = explore(Model((rule,)))  # type: ignore[no-untyped-call]
    assert found
