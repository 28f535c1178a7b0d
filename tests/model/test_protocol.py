"""The model of the protocol: with all rules no law breaks, and a dropped rule breaks one.

`python tests/model/protocol.py --all` walks through its largest system too, and drops the rules that only that one needs; it takes minutes.
"""

import pytest

from tests.model.protocol import RULES, SYSTEMS, Model, check, explore

SMALL = [name for name in SYSTEMS if not name.startswith("two tasks")]
QUICK = [rule for rule in RULES if rule not in ("every-insert-locks", "deaths-count")]


@pytest.mark.parametrize("name", SMALL)
def test_no_law_breaks_in_any_order_of_steps(name: str) -> None:
    states, found = explore(Model((), **SYSTEMS[name]))  # type: ignore[no-untyped-call, arg-type]
    assert found is None
    assert states > 100


@pytest.mark.parametrize("rule", QUICK)
def test_every_rule_is_needed(rule: str) -> None:
    law, story = check((rule,))  # type: ignore[no-untyped-call]
    assert law
    assert story
