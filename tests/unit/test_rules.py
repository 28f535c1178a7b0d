"""The alert rules of docs/monitoring that stay silent in a state that is intended."""

from pathlib import Path
from typing import Any

import promql_parser
import yaml

RULES = Path(__file__).parents[2] / "docs/monitoring/rules.yml"


def test_missing_workers_are_an_alert_only_while_tasks_are_due() -> None:
    """Pools that scale to zero have no workers by design."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    (rule,) = (rule for rule in group["rules"] if rule["alert"] == "DtqsNoWorkers")
    parsed: Any = promql_parser.parse(rule["expr"])
    assert (str(parsed.op), str(parsed.lhs.op)) == ("unless", "and")
    assert str(parsed.lhs.rhs) == 'sum(dtqs_backlog_tasks{state="due"}) > 0'
