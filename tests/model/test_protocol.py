"""The model of the protocol: with all rules no law breaks, and without any one of them a law breaks.

`python tests/model/protocol.py --all` also walks through its largest system and drops the rule that only that system
needs; it takes minutes.
"""

import pytest

from tests.model.protocol import RULES, SYSTEMS, Model, check, explore

SMALL = [name for name in SYSTEMS if not name.startswith("two tasks")]
QUICK = [rule for rule in RULES if rule != "every-insert-locks"]


@pytest.mark.parametrize("name", SMALL)
def test_no_law_breaks_in_any_order_of_steps(name: str) -> None:
    states, found = explore(Model((), **SYSTEMS[name]))  # type: ignore[no-untyped-call, arg-type]
    assert found is None
    assert states > 100


@pytest.mark.parametrize("rule", QUICK)
def test_dropping_any_rule_breaks_a_law(rule: str) -> None:
    law, story = check((rule,))  # type: ignore[no-untyped-call]
    assert law
    assert story
