"""/metrics of a running system: the same numbers from each API process, which never go back, and all their names."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from dtqs.sandbox.ports import free_ports
from dtqs.store import Store
from dtqs.store.backlog import FIRST_ID
from tests.support.fix_system import Factory, System
from tests.support.helpers import eventually

Scrape = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
CHANGING = re.compile(r"reading_seconds|reading_age|oldest|connections|size_bytes|memory|disk|pool_wait|workers_late")
"""Names of values that another process reads a moment later with another result."""

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
MAY_BE_MISSING = {"dtqs_lease_losses_total": {"reason"}, "dtqs_spans_lost_total": {"reason"}}
"""Metrics without samples in a healthy system, with their labels."""


def samples(text: str) -> Scrape:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value for family in parse(text) for one in family.samples
    }


def scrape(client: httpx.Client) -> Scrape:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def value(found: Scrape, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def growing(found: Scrape) -> Scrape:
    """Return the samples that may only grow."""
    return {key: number for key, number in found.items() if key[0].endswith(("_total", "_bucket", "_count", "_sum"))}


@contextmanager
def second_api(system: System) -> Iterator[httpx.Client]:
    """Run another API process on a port of its own."""
    port = free_ports(1)[0]
    process = system._spawn("api", {"DTQS_API_PORT": str(port)})
    headers = system.client.headers
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:

            def ready() -> bool:
                with suppress(httpx.TransportError):
                    return client.get("/readyz").status_code == 200
                return False

            eventually(ready, 30, "the second API is ready")
            yield client
    finally:
        process.terminate()
        process.wait(15)


def run_tasks(system: System) -> None:
    """Run tasks of several outcomes, and leave one that is not due and one of an unknown type."""
    ids = [system.submit(), system.submit({"exit": 1}, max_retries=0), system.submit({"fail": "permanent"})]
    ids += system.submit_many(20)
    system.submit(delay_seconds=3600.0, priority=7)
    system.rows(
        "WITH gone AS (INSERT INTO tasks (id, task_type, light, payload) "
        "VALUES (gen_random_uuid(), 'of_old_code', false, '{}') RETURNING id) "
        "INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at) "
        "SELECT id, 'of_old_code', false, 5, now() - interval '1 h', now() + interval '1 h' FROM gone RETURNING 1"
    )
    for task_id in ids:
        system.wait_for(task_id)


def kill_one(system: System) -> None:
    """Kill an idle worker whose counts are stored."""
    ((victim,),) = system.rows("SELECT pid FROM workers WHERE dead_at IS NULL AND state = 'ready' LIMIT 1")
    os.kill(victim, signal.SIGKILL)


def check_values(found: Scrape) -> None:
    assert value(found, "dtqs_attempts_total", task_type="echo", result="completed") == 21
    assert value(found, "dtqs_attempts_total", task_type="echo", result="failed") == 1
    assert value(found, "dtqs_tasks_submitted_total", task_type="echo") == 24
    assert value(found, "dtqs_tasks_total", event="submitted") == 24
    sizes = [value(found, "dtqs_submit_commit_tasks_bucket", le=bound) for bound in ("1.0", "10.0", "20.0")]
    assert sizes == [4, 4, 5]
    assert value(found, "dtqs_task_wait_seconds_count", task_type="echo") == 22
    labels = {"task_type": "echo", "queue": "task_queue", "priority": "7", "state": "scheduled"}
    assert value(found, "dtqs_backlog_tasks", **labels) == value(found, "dtqs_backlog_counted_ratio") == 1
    assert value(found, "dtqs_backlog_oldest_due_seconds", task_type="other", queue="task_queue") >= 3600
    assert value(found, "dtqs_database_up") == value(found, "dtqs_broker_up") == 1
    assert value(found, "dtqs_queue_consumers", queue="task_queue") == 2


def test_all_processes_serve_the_same_numbers_which_never_go_back(system: Factory) -> None:
    node = f"127.0.0.1:{free_ports(1)[0]}"
    one = system({"lease": {"heartbeat_seconds": 0.3}, "metrics": {"listen": node}})
    run_tasks(one)

    def ran() -> bool:
        found = scrape(one.client)
        runs = value(found, "dtqs_task_run_seconds_count", task_type="echo")
        return runs == 22 and value(found, "dtqs_worker_deaths_total", cause="exit") == 1

    def died() -> Scrape | None:
        found = scrape(one.client)
        workers = sum(number for (name, _), number in found.items() if name == "dtqs_workers")
        return found if workers == 2 and value(found, "dtqs_worker_deaths_total", cause="killed") == 1 else None

    eventually(ran, 20, "the runs and the death are counted")
    kill_one(one)
    found = eventually(died, 20, "the second death is counted")
    assert found
    check_values(found)
    with second_api(one) as other:
        openmetrics = other.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        families: Any = parse_openmetrics(openmetrics.text)  # type: ignore[no-untyped-call]
        assert "dtqs_build" in {family.name for family in families}

        def same() -> bool:
            mine, theirs = scrape(one.client), scrape(other)
            return {k: v for k, v in mine.items() if not CHANGING.search(k[0])} == {
                k: v for k, v in theirs.items() if not CHANGING.search(k[0])
            }

        eventually(same, 20, "both APIs serve the same numbers")
    before = scrape(one.client)
    own = eventually(lambda: with_disks(node), 20, "the keeper has measured its disks")
    assert own
    assert value(own, "dtqs_node_children", state="ready") == 3
    assert value(own, "dtqs_node_broker_connected") == 1
    check_documents([before, own])
    one.rows(
        "UPDATE counters SET updated_at = now() - interval '2 h' WHERE role = 'worker' AND NOT EXISTS "
        "(SELECT FROM workers WHERE id = process_id AND dead_at IS NULL) RETURNING 1"
    )
    housekeep(one)
    assert one.rows("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL") == [(0,)]
    assert one.rows("SELECT count(*) FROM counters WHERE role = 'folded'") == [(1,)]
    after = eventually(lambda: read_again(one, before), 10, "the next reading")
    assert after
    assert {key: number for key, number in growing(before).items() if after.get(key, 0.0) < number} == {}


def with_disks(address: str) -> Scrape | None:
    """Scrape the page of a node, which has its disks after the keeper's first look at them."""
    found = samples(httpx.get(f"http://{address}/metrics").text)
    return found if value(found, "dtqs_node_disk_free_bytes", folder="state") else None


def check_documents(scrapes: Sequence[Scrape]) -> None:
    """Check that all names and labels of dashboard, rules and reference exist in the scrapes."""
    labels: dict[str, set[str]] = {}
    for name, pairs in (key for found in scrapes for key in found):
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    panels = json.loads((DOCS / "dashboard.json").read_text())["panels"]
    (group,) = yaml.safe_load((DOCS / "rules.yml").read_text())["groups"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m")), rule
        queries.append(rule["expr"])
        used = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert all(re.search(rf"by \([^)]*\b{label}\b", rule["expr"]) or label == "instance" for label in used), rule
    assert len(queries) > 30
    for query in queries:
        parsed = promql_parser.parse(query.replace("$__rate_interval", "5m"))
        for name, wanted in selected(parsed):
            assert name in labels or name in MAY_BE_MISSING, f"{name} of {query} is in no scrape"
            there = MAY_BE_MISSING.get(name, set()) | labels.get(name, set()) | {"instance", "job"}
            assert wanted <= there, f"{query}: {name} has no label {wanted - there}"
    text = (DOCS / "README.md").read_text()
    families = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in labels} | {
        re.sub(r"_total$", "", name) for name in MAY_BE_MISSING
    }
    assert set(re.findall(r"`(dtqs_\w+)`", text)) == families


def selected(node: Any, by: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """Yield each selected metric with its labels in matchers and in the groupings around it."""
    if isinstance(node, promql_parser.AggregateExpr):
        by |= frozenset(node.modifier.labels if node.modifier else ())
    if isinstance(node, promql_parser.MatrixSelector):
        node = node.vector_selector
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name or "", {matcher.name for matcher in node.matchers.matchers} | by
    for name in ("expr", "lhs", "rhs"):
        if (inner := getattr(node, name, None)) is not None:
            yield from selected(inner, by)
    for inner in getattr(node, "args", ()):
        yield from selected(inner, by)


def read_again(system: System, before: Scrape) -> Scrape | None:
    """Return a scrape that is another reading than one before: a page shows its reading for a second."""
    found, key = scrape(system.client), ("dtqs_reading_seconds", (("server", "database"),))
    return found if found[key] != before[key] else None


def housekeep(system: System) -> None:
    """Fold the counters of processes that are gone, and delete all tasks with an outcome."""
    store = Store(system.config.postgresql, system.config.lease, 1, "tests")
    store.start()
    try:
        store.housekeeping.prune_small(24.0, 100)
        store.housekeeping.prune_tasks(FIRST_ID, 0.0, 1000)
    finally:
        store.stop()


def test_only_the_scope_metrics_may_scrape(system: Factory) -> None:
    one = system(supervisor=False)
    keys = {}
    for scope in ("metrics", "read"):
        made = one.run("key", "create", scope, "--scope", scope)
        keys[scope] = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert one.client.get("/metrics", headers=keys["metrics"]).status_code == 200
    assert one.client.get("/tasks", headers=keys["metrics"]).status_code == 403
    one.submit()
    number = one.client.get("/backlog", params={"task_type": ["echo", "image"]}, headers=keys["metrics"])
    assert (number.json()["backlog"], number.json()["task_types"]["echo"]["due"]) == (1, 1), "without any worker"
    assert one.client.get("/backlog", headers=keys["read"]).status_code == 403
    assert one.client.get("/backlog?types=echo", headers=keys["metrics"]).status_code == 422
    assert one.client.get("/metrics", headers=keys["read"]).status_code == 403
    assert httpx.get(f"{one.url}/metrics").status_code == 401
