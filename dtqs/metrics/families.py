"""The families of /metrics of the whole system, made from one reading; pure. docs/monitoring/ explains each."""

import time
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from dtqs import __version__
from dtqs.broker.look_link import BrokerLook
from dtqs.routes import NO_ROUTES, Routes
from dtqs.store.measures import Measured
from dtqs.tally import ABOVE, BOUNDS

OTHER = "other"
"""The label of all task types that the configuration does not know, so that their number is bounded."""
Samples = dict[tuple[str, ...], float]

_TOTALS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "submitted": ("dtqs_tasks_submitted", "Tasks accepted, by type", ("task_type",)),
    "attempts": ("dtqs_attempts", "Attempts that ended in a worker, by result", ("task_type", "result")),
    "deaths": ("dtqs_worker_deaths", "Worker processes that ended without giving back their tasks", ("cause",)),
    "losses": ("dtqs_lease_losses", "Leases that a worker found gone or did not know", ("reason",)),
    "spans_lost": ("dtqs_spans_lost", "Spans of traces that the collector did not get, by reason", ("reason",)),
    "pool_waits": ("dtqs_database_pool_waits", "Requests that waited for a connection of the pool", ("role",)),
    "pool_wait_seconds": ("dtqs_database_pool_wait_seconds", "Seconds of such waits", ("role",)),
}
_HISTOGRAMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "wait": ("dtqs_task_wait_seconds", "Seconds from the time when a task was due to its claim", ("task_type",)),
    "run": ("dtqs_task_run_seconds", "Seconds that attempts ran", ("task_type",)),
    "commit": ("dtqs_submit_commit_tasks", "Tasks stored by one commit of submits", ()),
}
_PRESENT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "=processes": ("dtqs_processes", "Processes that wrote their heartbeat lately", ("role",)),
    "=streams": ("dtqs_streams", "Open streams of events", ()),
    "=submits_waiting": ("dtqs_submits_waiting", "Submits that wait for their commit", ()),
    "=pool": (
        "dtqs_database_pool_connections",
        "Connections of the pools, and callers that wait for one",
        ("role", "state"),
    ),
    "=broker": ("dtqs_broker_connections", "Processes by the state of their connection to RabbitMQ", ("role", "state")),
    "^disk_free": ("dtqs_disk_free_bytes", "Free bytes of the file system of a folder", ("folder",)),
    "^disk_size": ("dtqs_disk_size_bytes", "Size of that file system", ("folder",)),
    "=slots": ("dtqs_slots", "Slots of workers by state", ("state",)),
}


def families(
    measured: Measured | None,
    look: BrokerLook | None,
    task_types: Collection[str],
    broker_seconds: float,
    routes: Routes = NO_ROUTES,
    answered: bool = False,
) -> Iterator[Metric]:
    """Yield all families. A server that is away has its `up` at 0, and no other samples.

    `answered`: PostgreSQL is not away, although its statements took too long for a reading.
    """
    yield gauge("dtqs_build", "The version of this process", ("version",), {(__version__,): 1.0})
    is_up = measured is not None or answered
    yield gauge("dtqs_database_up", "Whether PostgreSQL answers", (), {(): float(is_up)})
    yield gauge("dtqs_broker_up", "Whether RabbitMQ answers", (), {(): float(look is not None)})
    seconds: Samples = {("broker",): broker_seconds}
    if measured:
        seconds["database",] = measured.seconds
    yield gauge("dtqs_reading_seconds", "Seconds that the last reading took", ("server",), seconds)
    if is_up:
        age = time.monotonic() - measured.labelled_at if measured else float("inf")
        yield gauge("dtqs_reading_age_seconds", "Age of the values by type, and of processes", (), {(): age})
    if measured:
        known = frozenset(task_types)
        yield counter(
            "dtqs_tasks",
            "Events of tasks, from all processes",
            ("event",),
            {(name,): n for name, n in measured.totals.items()},
        )
        yield from _labelled(measured, known)
        yield from _backlog(measured, known, routes)
        yield from _pools(measured)
        yield _takers(measured, routes)
        yield from _database(measured)
    if look:
        yield from _broker(look)


def _labelled(measured: Measured, known: frozenset[str]) -> Iterator[Metric]:
    totals: dict[str, Samples] = {kind: {} for kind in (*_TOTALS, *_PRESENT)}
    buckets: dict[str, dict[tuple[str, ...], dict[str, float]]] = {kind: {} for kind in _HISTOGRAMS}
    for name, node, value in measured.labelled:
        kind, *labels = name.split("|")
        if kind in _HISTOGRAMS:
            *labels, bucket = labels
            found = buckets[kind].setdefault(_bounded(_HISTOGRAMS[kind][2], labels, known), {})
            found[bucket] = found.get(bucket, 0.0) + value
        elif kind in totals:
            words = (_TOTALS | _PRESENT)[kind][2]
            key = ((node,) if node is not None else ()) + _bounded(words, labels, known)
            totals[kind][key] = totals[kind].get(key, 0.0) + value
    for kind, (title, text, words) in _TOTALS.items():
        yield counter(title, text, words, totals[kind])
    for kind, (title, text, words) in _PRESENT.items():
        yield gauge(title, text, ("node", *words), totals[kind])
    for kind, (title, text, words) in _HISTOGRAMS.items():
        yield _histogram(title, text, words, BOUNDS[kind], buckets[kind])


def _bounded(words: tuple[str, ...], labels: list[str], known: frozenset[str]) -> tuple[str, ...]:
    """Return as many labels as there are words; a task type that is not known is one of the others."""
    pairs = zip(words, labels, strict=False)
    return tuple(OTHER if word == "task_type" and label not in known else label for word, label in pairs)


def _backlog(measured: Measured, known: frozenset[str], routes: Routes) -> Iterator[Metric]:
    counts: Samples = {}
    ages: Samples = {}
    for task_type, priority, due, count, age in measured.backlog:
        name = task_type if task_type in known else OTHER
        queue = routes.queue_of(task_type)
        key = (name, queue, str(priority), "due" if due else "scheduled")
        counts[key] = counts.get(key, 0.0) + count
        if due:
            ages[name, queue] = max(ages.get((name, queue), 0.0), age)
    yield gauge("dtqs_backlog_tasks", "Pending tasks", ("task_type", "queue", "priority", "state"), counts)
    yield gauge(
        "dtqs_backlog_oldest_due_seconds", "Seconds since the oldest pending task was due", ("task_type", "queue"), ages
    )
    yield gauge("dtqs_backlog_counted_ratio", "Part of the backlog that was counted", (), {(): measured.counted})
    yield gauge("dtqs_tasks_in_progress", "Tasks in leases", (), {(): measured.in_progress})


def _pools(measured: Measured) -> Iterator[Metric]:
    counts: Samples = {}
    memory: Samples = {}
    late: Samples = {}
    for node, pool, state, count, memory_bytes, late_count in measured.pools:
        counts[node, pool, state] = count
        memory[node, pool] = memory.get((node, pool), 0) + memory_bytes
        late[node, pool] = late.get((node, pool), 0) + late_count
    yield gauge("dtqs_workers", "Workers that are not marked dead", ("node", "pool", "state"), counts)
    yield gauge("dtqs_workers_late", "Workers whose heartbeat is late", ("node", "pool"), late)
    yield gauge("dtqs_workers_memory_bytes", "Resident memory of the workers", ("node", "pool"), memory)


def _takers(measured: Measured, routes: Routes) -> Metric:
    """Count workers of old versions, which name no queues, for each queue."""
    known = dict(measured.takers)
    counts: Samples = {(queue,): known.get(queue, 0) + known.get(None, 0) for queue in routes.queues}
    return gauge("dtqs_queue_workers", "Workers that take tasks from the queue, busy ones included", ("queue",), counts)


def _database(measured: Measured) -> Iterator[Metric]:
    for name, text, value in (
        ("connections", "Sessions of this database", measured.connections),
        ("connections_limit", "max_connections of the server", measured.connections_limit),
        ("size_bytes", "Size of the database, a minute old at most", measured.size_bytes),
        ("oldest_transaction_seconds", "Age of the oldest transaction that its role may see", measured.oldest_seconds),
    ):
        yield gauge(f"dtqs_database_{name}", text, (), {(): value})


def _broker(look: BrokerLook) -> Iterator[Metric]:
    yield gauge("dtqs_broker_blocked", "Whether an alarm blocks publishers", (), {(): float(look.blocked)})
    yield gauge("dtqs_broker_refuses", "Whether a permission is missing", (), {(): float(look.refusal is not None)})
    missing: Samples = {(name,): float(found is None and name not in look.down) for name, found in look.queues.items()}
    down: Samples = {(name,): float(name in look.down) for name in look.queues}
    yield gauge("dtqs_queue_missing", "Whether the queue is missing", ("queue",), missing)
    yield gauge("dtqs_queue_down", "Whether the queue exists and does not serve", ("queue",), down)
    there = {name: found for name, found in look.queues.items() if found}
    if there:
        messages: Samples = {(name,): found.ready for name, found in there.items()}
        consumers: Samples = {(name,): found.consumers for name, found in there.items()}
        yield gauge("dtqs_queue_messages", "Hints ready for delivery", ("queue",), messages)
        yield gauge("dtqs_queue_consumers", "Consumers of the queue", ("queue",), consumers)


def counter(name: str, text: str, words: Iterable[str], samples: Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=tuple(words))
    for labels, value in sorted(samples.items()):
        family.add_metric(labels, value)
    return family


def gauge(name: str, text: str, words: Iterable[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=tuple(words))
    for labels, value in sorted(samples.items()):
        family.add_metric(labels, value)
    return family


def _histogram(
    name: str, text: str, words: tuple[str, ...], bounds: tuple[float, ...],
    found: dict[tuple[str, ...], dict[str, float]],
) -> Metric:  # fmt: skip
    """Make cumulative buckets. Rows of another version of DTQS may have other bounds, which count as well."""
    family = HistogramMetricFamily(name, text, labels=words)
    others = {float(bound) for buckets in found.values() for bound in buckets if bound not in (ABOVE, "sum")}
    steps = [f"{bound:g}" for bound in sorted({*bounds, *others})]
    limits = [str(float(step)) for step in steps]
    for labels, buckets in sorted(found.items()):
        sums = accumulate(buckets.get(step, 0.0) for step in (*steps, ABOVE))
        family.add_metric(labels, list(zip((*limits, "+Inf"), sums, strict=True)), buckets.get("sum", 0.0))
    return family
