"""The Overview tab: health, rates, backlog, recent failures and workers; pure."""

from collections.abc import Iterator, Sequence

from dtqs.amounts import age, amount, clock, plural, rate, seconds, size
from dtqs.console.formats import cut_marks, short_id
from dtqs.console.lines import WIDE, ScreenLine, StyledText, bar, beside, cut, line, pad, safe, spark, title
from dtqs.console.logs import log_rows
from dtqs.console.rows import RowMark, Rows, ViewLines
from dtqs.console.snapshot import LogsWanted, Snapshot
from dtqs.readings import Depth, Failure, Health, Reading, WorkerReading

_RATES = ("submitted", "started", "completed", "failed", "retried")
_STATE_STYLES = {"ready": "good", "busy": "busy", "draining": "warn"}
_ALARMS_LIMIT = 4
_QUEUES_LIMIT = 5
_LOG_FROM = 6
"""Minimum of free lines for the end of the log."""
TALL = 36
"""Minimum height for the end of the log. On a lower tab the log is not read, so old rows would stand still."""


def overview(snapshot: Snapshot, width: int, height: int, now: float) -> ViewLines:
    """Return the lines of the tab, fitted to the height where possible; the operator scrolls to the rest."""
    if snapshot.reading is None:
        return ViewLines([*_broken(snapshot), line(StyledText(" Reading PostgreSQL and RabbitMQ …", "dim"))])
    top = [*_health(snapshot, width)]
    good = snapshot.good
    if good is None:
        return ViewLines(top)
    failures = _failures(good, width, now, 10 if height >= 40 else 5 if height >= 22 else 2)
    body = ViewLines([*_flow(snapshot, good, width), *failures], *_workers(good, width))
    if height >= TALL and (left := height - len(top) - len(body)) >= _LOG_FROM and snapshot.logs_of == LogsWanted():
        body = ViewLines(*body.parts, [title("Log", width)], log_rows(snapshot.logs[1 - left :], width, now))
    return ViewLines(top, *(body.restyled("dim") if snapshot.stale else body).parts)


def _broken(snapshot: Snapshot) -> Iterator[ScreenLine]:
    if snapshot.broken:
        yield line(StyledText(f" ✗ console error, old data shown: {safe(snapshot.broken)}", "bad"))


def _health(snapshot: Snapshot, width: int) -> Iterator[ScreenLine]:
    reading = snapshot.reading
    assert reading is not None
    alarms = reading.alarms
    yield from _broken(snapshot)
    if alarms:
        for alarm in alarms[:_ALARMS_LIMIT]:
            yield line(StyledText(f" ✗ {safe(alarm)}", "bad"))
        if len(alarms) > _ALARMS_LIMIT:
            yield line(StyledText(f"   and {len(alarms) - _ALARMS_LIMIT} more", "bad"))
    elif not snapshot.broken:
        yield line(StyledText(" ✓ healthy", "good"), f"  {_counted(reading)}")
    servers: list[str | StyledText] = [" "]
    for health in (reading.database, reading.broker):
        servers += [*_server(health, snapshot.away_seconds.get(health.name, 0.0)), "   "]
    queues = [
        f"{queue.name} {amount(queue.ready)} messages, {plural(queue.consumers, 'consumer')}"
        for queue in reading.queues or ()
    ]
    if width >= WIDE:
        servers += queues[:1]
    yield line(*servers)
    for words in queues[1:_QUEUES_LIMIT]:
        yield line(f" {words}")


def _counted(reading: Reading) -> str:
    workers, processes = reading.worker_counts, reading.processes or ()
    counts = [plural(workers.workers if workers else 0, "worker")]
    roles = (("keeper", "keeper"), ("api", "API process"))
    counts += [
        plural(count, noun) for role, noun in roles if (count := sum(process.role == role for process in processes))
    ]
    return ", ".join(counts)


def _server(health: Health, away_seconds: float) -> list[str | StyledText]:
    if health.state == "away":
        return [
            StyledText(f"✗ {health.name} away", "bad"),
            StyledText(f" for {age(away_seconds)}: {cut(safe(health.words), 40)}", "bad"),
        ]
    version = f" {safe(health.words).removeprefix('version ')}"
    return [
        StyledText("● ", "good" if "alarm" not in health.words else "bad"),
        health.name,
        StyledText(version + f" {seconds(health.latency_seconds)}", "dim"),
    ]


def _flow(snapshot: Snapshot, good: Reading, width: int) -> list[ScreenLine]:
    """Put the rates and the backlog side by side."""
    left = width * 11 // 20
    rates = [title("Tasks per second", left - 1, "last 5 min"), *_rates(snapshot, good, left - 2)]
    depth = [title("Backlog", width - left), *_depth(good.depth, width - left, len(rates) - 1)] if good.depth else []
    return beside(rates, depth, left)


def _rates(snapshot: Snapshot, good: Reading, width: int) -> Iterator[ScreenLine]:
    totals = good.totals
    for name in _RATES:
        value = getattr(snapshot.rates, name) if snapshot.rates else 0.0
        total = getattr(totals, "claimed" if name == "started" else name)
        style = {"failed": "bad", "retried": "warn"}.get(name, "bold") if value else "dim"
        room = max(4, width - 11 - 7 - 8)
        yield line(
            f" {name:<10}",
            StyledText(pad(rate(value), 6, right=True), style),
            " ",
            StyledText(pad(amount(total), 7, right=True), "dim"),
            " ",
            StyledText(spark(snapshot.series.get(name, []), room), style if value else "dim"),
        )


def _depth(depth: Depth, width: int, rows: int) -> Iterator[ScreenLine]:
    more, more_later = cut_marks(depth)
    oldest = f"oldest due {age(depth.oldest_seconds)}" if depth.oldest_seconds is not None else ""
    gap = "  " if width >= 36 else " "
    yield line(
        StyledText(f" {depth.pending:,}{more}", "bold"),
        f" pending{gap}",
        StyledText(f"{depth.in_progress:,}", "busy"),
        f" running{gap}",
        StyledText(f"{depth.later:,}{more_later}", "dim"),
        " later",
    )
    waiting = [(priority, count) for priority, count in enumerate(depth.by_priority) if count][::-1]
    if not waiting:
        yield line(StyledText(" no pending tasks", "dim"))
        return
    types = " ".join(f"{safe(name)} {amount(count)}" for name, count in depth.by_type[:4])
    yield line(StyledText(cut(f" {oldest}   {types}", width), "dim"))
    top, shown = max(count for _, count in waiting), waiting[: rows - 2]
    for position, (priority, count) in enumerate(shown):
        left = (
            f"  and {len(waiting) - len(shown)} more priorities"
            if position == len(shown) - 1 and len(shown) < len(waiting)
            else ""
        )
        yield line(
            f" priority {priority} ",
            StyledText(pad(amount(count), 7, right=True), "bold"),
            " ",
            StyledText(bar(count / top, max(4, min(24, width - 22 - len(left)))), "busy"),
            left,
        )


def _failures(good: Reading, width: int, now: float, limit: int) -> Iterator[ScreenLine]:
    failures = good.failures or ()
    yield title("Recent failures", width, "" if failures else "no failures")
    for failure in failures[:limit]:
        yield _failure(failure, width, now)


def _failure(failure: Failure, width: int, now: float) -> ScreenLine:
    when, name = (
        pad(clock(failure.at, now), 12 if width >= WIDE else 11),
        pad(safe(failure.task_type), 14 if width >= WIDE else 8),
    )
    retried = failure.status == "pending"
    how = StyledText(pad("retrying" if retried else "failed", 9), "warn" if retried else "bad")
    identity = short_id(failure.task_id, 36 if width >= WIDE else 13)
    return line(
        f" {when}",
        how,
        f"{name} ",
        StyledText(f"{identity} ", "dim"),
        safe(failure.message or "no error message"),
        key=f"failure {failure.task_id}",
        task_id=failure.task_id,
    )


def _workers(good: Reading, width: int) -> Iterator[list[ScreenLine] | Rows]:
    workers = good.workers or ()
    groups: dict[tuple[str, str], list[WorkerReading]] = {}
    for worker in workers:
        groups.setdefault((worker.node_name, worker.pool), []).append(worker)
    if not groups:
        yield [title("Workers", width, "no worker is running")]
    pools = {(pool.node_name, pool.pool): pool for pool in good.worker_pools or ()}
    for (node, pool), members in groups.items():
        whole = pools.get((node, pool))  # the list has the newest 500 workers
        busy = whole.busy if whole else sum(worker.task_id is not None for worker in members)
        keepers = [
            process for process in good.processes or () if process.role == "keeper" and process.node_name == node
        ]
        note = f"{busy:,} of {whole.workers if whole else len(members):,} busy"
        note += "" if keepers else " · no keeper here"
        yield [title(f"Workers: node {safe(node)}, pool {safe(pool)}", width, note)]
        yield Rows(
            sorted(members, key=lambda each: (each.task_id is None, each.slot)),
            lambda worker: _worker(worker, width),
            lambda worker: RowMark(f"worker {worker.worker_id}", worker.task_id),
        )
    if good.more_workers:
        yield [line(StyledText(f" and {good.more_workers:,} more workers", "dim"))]


def _worker(worker: WorkerReading, width: int) -> ScreenLine:
    state = StyledText(pad(worker.state, 9), "bad" if worker.late else _STATE_STYLES.get(worker.state, "warn"))
    done = f"✓{amount(worker.completed)}" + (f" ✗{amount(worker.failed)}" if worker.failed else "")
    memory = "-" if worker.memory_bytes is None else size(worker.memory_bytes)
    tail = f"{memory:>9} {done}" + (f"  no heartbeat for {age(worker.age_seconds)}" if worker.late else "")
    head = f" {worker.slot:>3} "
    if worker.task_id is None:
        return line(head, state, StyledText(f"{tail}", "dim"), key=f"worker {worker.worker_id}")
    wide = width >= WIDE
    task = f"{pad(safe(worker.task_type or '-'), 14 if wide else 8)} {short_id(worker.task_id, 36 if wide else 13)} "
    running = pad(seconds(worker.busy_seconds), 7, right=True)
    return line(
        head,
        state,
        task,
        StyledText(f"{running} ", "busy"),
        *_progress(worker, 24 if wide else 8),
        StyledText(f" {tail}", "dim"),
        key=f"worker {worker.worker_id}",
        task_id=worker.task_id,
    )


def _progress(worker: WorkerReading, width: int) -> Sequence[str | StyledText]:
    if worker.fraction is None:
        return [StyledText(pad(safe(worker.message or ""), width + 5), "dim")]
    message = f" {pad(safe(worker.message or ''), 20)}" if width > 8 else ""
    return [StyledText(bar(worker.fraction, width), "busy"), f"{worker.fraction:5.0%}{message}"]
