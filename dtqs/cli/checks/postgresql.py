"""Check PostgreSQL and, through it, schema, settings, clock and workers."""

import time
from collections.abc import Iterator, Sequence

from dtqs import unkept
from dtqs.amounts import plural
from dtqs.cli.checks.check import FAILED, OK, WARNING, Check, skipped
from dtqs.cli.checks.sessions import sessions, standby
from dtqs.cli.store import opened_store
from dtqs.config import Config
from dtqs.errors import StoreUnavailable
from dtqs.given_up import GivenUpSlots, words_of
from dtqs.routes import Routes
from dtqs.store.checkup import (
    POSTGRESQL_VERSION,
    LiveWorker,
    ServerFacts,
    given_up,
    live_workers,
    server_facts,
    unkept_queues,
)
from dtqs.store.driver.schema import SCHEMA_VERSION, refusal
from dtqs.store.sessions import look_at_sessions, standbys

CLOCK_WARNING_SECONDS, CLOCK_FAILED_SECONDS = 2.0, 60.0
_PROCESS_SECONDS = 60.0
"""A process that has written nothing for longer is gone."""
_LOOK_ROWS = 5000
"""The look for due tasks reads at most this many rows, about 3 ms."""
_BAD_PLANS = "query plans get slow while tables grow; run: dtqs migrate"
_LOST_TASKS = "a crash of the server can lose accepted tasks"
_NODES_DOWN = "start the nodes of the cluster that are down; tasks are accepted and wait until then"
_WANTED = {
    "enable_seqscan": ("off", FAILED, _BAD_PLANS),
    "jit": ("off", FAILED, _BAD_PLANS),
    "fsync": ("on", WARNING, f"{_LOST_TASKS}; set fsync = on in postgresql.conf"),
    "synchronous_commit": ("on", WARNING, f"{_LOST_TASKS}; set synchronous_commit = on for this role"),
}
"""Settings of PostgreSQL: the right value, the state if it is another one, and the advice."""


def postgresql(config: Config, task_types: Sequence[str]) -> Iterator[Check]:
    """Check server, schema, settings, clock and workers, and that the workers run all of `task_types`."""
    of_sessions = ["sessions", "pooler", "standby"]
    left = ["schema", "settings", *of_sessions, "clock", "workers", "workers' types", "slots", "routes"]
    try:
        for check in _database(config, task_types):
            done = "settings" if check.part.startswith("setting ") else check.part
            left = [part for part in left if part != done]
            yield check
    except StoreUnavailable as error:
        yield Check(
            "PostgreSQL",
            FAILED,
            str(error).removeprefix("PostgreSQL: "),
            "is it running, and is [postgresql] dsn right? see: dtqs config show",
        )
        yield from skipped(left, "PostgreSQL")
    else:
        yield from skipped(left, "the schema")


def _database(config: Config, task_types: Sequence[str]) -> Iterator[Check]:
    with opened_store(config, "dtqs doctor") as store:
        before = time.time()
        facts = server_facts(store.database)
        yield _server(facts)
        yield _schema(facts)
        yield from _settings(facts)
        if facts.schema_version is not None:
            yield from sessions(look_at_sessions(config.postgresql, "dtqs doctor"))
            yield standby(*standbys(store.database.run_once))
        # the server read its clock at some moment between the two readings of ours
        yield _clock(facts.clock - (before + time.time()) / 2)
        if refusal(facts.schema_version, facts.schema_compatible) is None:
            workers = live_workers(store.database)
            yield _workers(workers, config.lease.lease_seconds, store.backlog.count_due(_LOOK_ROWS) > 0)
            yield _types(workers, task_types)
            yield _slots(given_up(store.database, config.lease.lease_seconds))
            for queue in unkept_queues(store.database, config.lease.lease_seconds):
                yield Check("hints", FAILED, f"RabbitMQ: {unkept.words_of(queue)}", _NODES_DOWN)
            found = store.queues.routes(max(_PROCESS_SECONDS, config.lease.lease_seconds))
            yield routes_check(config.routes, [(node, role, text) for node, role, text in found if text is not None])


def _server(facts: ServerFacts) -> Check:
    found = f"version {facts.version}"
    if facts.major_version < POSTGRESQL_VERSION:
        return Check("PostgreSQL", FAILED, found, f"install PostgreSQL {POSTGRESQL_VERSION} or later")
    if facts.read_only:
        advice = "is it a standby, or is default_transaction_read_only set? name the primary in [postgresql] dsn"
        return Check("PostgreSQL", FAILED, f"{found}, read-only", advice)
    return Check("PostgreSQL", OK, found)


def _schema(facts: ServerFacts) -> Check:
    version = facts.schema_version
    if version is None:
        return Check("schema", FAILED, "the database has no schema", "run: dtqs migrate")
    if refusal(version, facts.schema_compatible) is None:
        newer = (
            "" if version == SCHEMA_VERSION else f", made by a newer DTQS; this one knows {SCHEMA_VERSION}, and fits"
        )
        return Check("schema", OK, f"version {version}{newer}")
    advice = "run: dtqs migrate" if version < SCHEMA_VERSION else "install the newer DTQS on this machine too"
    return Check("schema", FAILED, f"version {version}; this DTQS needs {SCHEMA_VERSION}", advice)


def _settings(facts: ServerFacts) -> Iterator[Check]:
    wrong = [(name, *_WANTED[name]) for name, value in facts.settings.items() if value != _WANTED[name][0]]
    for name, wanted, state, advice in wrong:
        yield Check(f"setting {name}", state, f"{facts.settings[name]} instead of {wanted}", advice)
    if not wrong:
        yield Check("settings", OK, ", ".join(f"{name} = {value}" for name, value in facts.settings.items()))


def _clock(difference_seconds: float) -> Check:
    off = abs(difference_seconds)
    direction = "behind" if difference_seconds > 0 else "ahead of"
    found = f"{off:.1f} s {direction} PostgreSQL's" if off >= 0.1 else "the same as PostgreSQL's"
    state = FAILED if off > CLOCK_FAILED_SECONDS else WARNING if off > CLOCK_WARNING_SECONDS else OK
    advice = "" if state == OK else "keep the clocks of both machines in step by NTP: timedatectl set-ntp true"
    return Check("clock", state, found, advice)


def _workers(workers: list[LiveWorker], lease_seconds: float, is_due: bool) -> Check:
    """`is_due`: a task waits for a worker. While none does, pools that scale to zero have no workers."""
    alive = [worker for worker in workers if worker.beat_age_seconds <= lease_seconds]
    if not alive:
        late = f"; {len(workers)} gave no heartbeat for {lease_seconds:g} s" if workers else ""
        if is_due:
            found = f"no worker is alive{late}, and tasks are due"
            return Check("workers", FAILED, found, "start them: dtqs supervisor, or dtqs up")
        advice = "unless your pools scale to zero, start them: dtqs supervisor, or dtqs up"
        return Check("workers", WARNING, f"no worker is alive{late}; no task is due", advice)
    nodes = plural(len({worker.node_name for worker in alive}), "node")
    found = f"{len(alive)} alive on {nodes}, {sum(worker.task_id is not None for worker in alive)} with a task"
    if len(alive) == len(workers):
        return Check("workers", OK, found)
    advice = "a keeper reclaims their tasks; see the logs of these workers"
    return Check("workers", WARNING, f"{found}; {len(workers) - len(alive)} with a late heartbeat", advice)


def _slots(found: list[tuple[str, GivenUpSlots]]) -> Check:
    if not found:
        return Check("slots", OK, "no slot of a node is given up")
    words = dict.fromkeys(words_of(node, slots) for node, slots in found)
    return Check("slots", FAILED, ". ".join(words), "remove the cause, then run on that node: dtqs ctl reload")


def routes_check(routes: Routes, found: Sequence[tuple[str, str, str]]) -> Check:
    """Compare the routes here with those of the running processes: (node, role, routes)."""
    here = routes.text
    others = [f"{role} on {node}: {text or 'none'}" for node, role, text in found if text != here]
    if others:
        advice = "give all nodes and APIs the same [routes], and reload them"
        return Check("routes", WARNING, f"here: {here or 'none'}; {'; '.join(others)}", advice)
    return Check("routes", OK, here or "none: all hints go to task_queue")


def _types(workers: list[LiveWorker], task_types: Sequence[str]) -> Check:
    """Compare the task types accepted here with those of the workers. Workers of older versions do not report them."""
    reported = [worker.task_types for worker in workers if worker.task_types is not None]
    missing = sorted(set(task_types) - {name for types in reported for name in types})
    if missing and reported and len(reported) == len(workers):
        found = f"no worker runs: {', '.join(missing)}; their tasks would wait"
        advice = "install their package where workers run, or let a [pool:NAME] take them, and restart the supervisor"
        return Check("workers' types", WARNING, found, advice)
    found = "workers run every known type" if reported else "these workers do not report their types"
    return Check("workers' types", OK, found)
