"""The alert rules of docs/monitoring that stay silent in a state that is intended."""

from pathlib import Path
from typing import Any

import promql_parser
import yaml

RULES = Path(__file__).parents[2] / "docs/monitoring/rules.yml"


def expression(alert: str) -> Any:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    (rule,) = (rule for rule in group["rules"] if rule["alert"] == alert)
    return promql_parser.parse(rule["expr"])


def test_missing_workers_are_an_alert_only_while_tasks_are_due() -> None:
    """Pools that scale to zero have no workers by design."""
    parsed = expression("DtqsNoWorkers")
    assert (str(parsed.op), str(parsed.lhs.op)) == ("unless", "and")
    assert str(parsed.lhs.rhs) == 'sum(dtqs_backlog_tasks{state="due"}) > 0'


def test_workers_that_are_late_or_draining_do_not_silence_the_alert_for_missing_workers() -> None:
    """The rows of a node that lost its power stay in dtqs_workers for as long as no other keeper runs."""
    assert str(expression("DtqsNoWorkers").rhs) == "sum(dtqs_queue_workers{}) > 0"


def test_a_queue_whose_workers_all_run_long_tasks_is_no_alert() -> None:
    """A worker with a long task cancels its consumer."""
    parsed = expression("DtqsNoConsumers")
    assert str(parsed.op) == "and"
    assert str(parsed.rhs) == "max by (queue)(dtqs_queue_workers{}) == 0"


def test_a_missing_keeper_is_an_alert_only_if_the_processes_could_be_counted() -> None:
    """A slow PostgreSQL answers, and gives no numbers of processes."""
    assert str(expression("DtqsNoKeeper").lhs.rhs) == "min(dtqs_reading_age_seconds{}) < 300"
