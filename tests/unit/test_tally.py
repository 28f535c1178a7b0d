"""Counts of a process: buckets, present values, and few words for causes of death."""

from collections.abc import Iterable

import pytest
from prometheus_client.core import Metric

from dtqs.broker.look_link import BrokerLook
from dtqs.config import load
from dtqs.errors import ConfigError
from dtqs.metrics.families import families
from dtqs.routes import Routes
from dtqs.store.measures import Measured
from dtqs.tally import SECONDS, Histogram, Tally, death_label


def test_values_count_in_the_first_bucket_that_holds_them() -> None:
    histogram = Histogram(SECONDS)
    for values in ([0.001, 0.0005], [0.0011, 7.0], [1e9]):
        histogram.add(values)
    counts = histogram.values("run|x")
    assert counts.pop("run|x|sum") == pytest.approx(1e9 + 7.0026)
    assert counts == {"run|x|0.001": 2, "run|x|0.0025": 1, "run|x|10": 1, "run|x|inf": 1}


def test_a_process_that_ends_keeps_its_totals_only() -> None:
    tally = Tally()
    tally.add("attempts|echo|failed", 2)
    tally.state("=broker|api", "connected")
    tally.state("=broker|api", "away")
    assert tally.values() == {"attempts|echo|failed": 2, "=broker|api|away": 1}
    assert tally.values(ends=True) == {"attempts|echo|failed": 2}


@pytest.mark.parametrize(
    ("cause", "label"),
    [
        ("signal 9 (SIGKILL)", "killed"), ("signal 11 (SIGSEGV)", "signal"), ("exit status 3", "exit"),
        ("time limit", "time_limit"), ("no heartbeat for 30 s", "no_heartbeat"), ("no sign of life", "silent"),
        ("its memory of 2.1 GiB passed [pool:default] memory_kill = 2.0 GiB", "memory_kill"),
        ("killed by an operator: dtqs ctl kill default/0", "operator"), ("anything else", "other"),
    ],
)  # fmt: skip
def test_a_cause_of_death_has_one_of_few_labels(cause: str, label: str) -> None:
    assert death_label(cause) == label


def test_types_that_are_not_known_are_others_and_buckets_of_another_version_count() -> None:
    labelled = tuple(
        (name, None, value)
        for name, value in {
            "attempts|echo|failed": 1.0, "attempts|a|failed": 2.0, "attempts|b|failed": 3.0,
            "run|echo|0.001": 1.0, "run|echo|0.002": 2.0, "run|echo|inf": 4.0, "run|echo|sum": 99.0,
        }.items()
    )  # fmt: skip
    backlog = tuple((name, 5, True, 1, 3.0) for name in ("a", "b", "echo"))
    measured = Measured({}, labelled, (), backlog, 1.0, 0, 1, 100, 1, 0.0, 0.001)
    found = samples(families(measured, None, ["echo"], 0.0, Routes({"echo": "echoes"})))
    assert found["dtqs_attempts_total", "other", "failed"] == 5
    assert found["dtqs_backlog_tasks", "other", "task_queue", "5", "due"] == 2
    assert found["dtqs_backlog_tasks", "echo", "echoes", "5", "due"] == 1
    buckets = [found["dtqs_task_run_seconds_bucket", "echo", bound] for bound in ("0.001", "0.002", "0.0025", "+Inf")]
    assert buckets == [1, 3, 3, 7]


def test_workers_of_old_versions_count_for_each_queue() -> None:
    takers = (("echoes", 2), ("of_another_system", 4), (None, 1))
    measured = Measured({}, (), (), (), 1.0, 0, 1, 100, 1, 0.0, 0.001, takers)
    found = samples(families(measured, None, [], 0.0, Routes({"echo": "echoes"})))
    assert {key[1]: value for key, value in found.items() if key[0] == "dtqs_queue_workers"} == {
        "task_queue": 1,
        "echoes": 3,
    }


def test_a_queue_that_is_down_is_not_missing() -> None:
    look = BrokerLook("4.1", {"task_queue": None, "movies": None}, False, 0.0, down={"movies": "its node is down"})
    found = samples(families(None, look, [], 0.0))
    assert [found["dtqs_queue_missing", queue] for queue in ("task_queue", "movies")] == [1, 0]
    assert [found["dtqs_queue_down", queue] for queue in ("task_queue", "movies")] == [0, 1]


def samples(found: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return the values by name and labels."""
    return {(one.name, *one.labels.values()): one.value for family in found for one in family.samples}


def test_without_servers_the_page_says_so() -> None:
    found = {sample.name: sample.value for family in families(None, None, [], 0.0) for sample in family.samples}
    assert (found["dtqs_database_up"], found["dtqs_broker_up"]) == (0, 0)
    assert "dtqs_tasks_total" not in found


@pytest.mark.parametrize(
    ("listen", "place"), [("127.0.0.1:9105", ("127.0.0.1", 9105)), ("[::1]:1", ("::1", 1)), ("", None)]
)
def test_listen_names_a_host_and_a_port(listen: str, place: tuple[str, int] | None) -> None:
    assert load(None, {"DTQS_METRICS_LISTEN": listen}).metrics.place == place


@pytest.mark.parametrize("listen", ["9105", ":9105", "host:0", "host:65536", "host:", "host:9x"])
def test_another_listen_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"such as 127\.0\.0\.1:9105"):
        load(None, {"DTQS_METRICS_LISTEN": listen})
