"""Read [routes], and check it against pools and task types; pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from dtqs.config.pool_section import PoolSection
from dtqs.routes import QUEUE, QUEUE_NAMES, Routes, is_queue_name
from dtqs.suggestion import suggestion

SECTION = "routes"


class Written(Protocol):
    """A value as written, and its place."""

    @property
    def text(self) -> str: ...
    @property
    def where(self) -> str: ...


Entries = Mapping[str, Mapping[str, Written]]


def read_routes(entries: Mapping[str, Written], problems: list[str]) -> Routes:
    """Read TASK_TYPE = QUEUE. Catalog.load checks the types."""
    for task_type, entry in entries.items():
        if not is_queue_name(entry.text):
            problems.append(
                f"{entry.where}: [{SECTION}] {task_type} = {entry.text!r}: not a name of a queue; "
                f"allowed: {QUEUE_NAMES}"
            )
    return Routes({task_type: entry.text for task_type, entry in entries.items()})


def queues_of(pool: PoolSection, routes: Routes) -> tuple[str, ...]:
    """Return the queues that a pool consumes."""
    if pool.queues:
        return tuple(dict.fromkeys(pool.queues))
    if pool.task_types:
        return tuple(dict.fromkeys(map(routes.queue_of, pool.task_types)))
    return routes.queues


def types_of(pool: PoolSection, routes: Routes) -> tuple[tuple[str, ...], bool]:
    """Return types and whether the pool gets the tasks of just these. If not, it gets those of all others."""
    if pool.task_types:
        return tuple(sorted(set(pool.task_types))), True
    if not pool.queues:
        return (), False
    is_main = QUEUE in pool.queues
    return tuple(name for name, queue in routes.by_type.items() if (queue in pool.queues) != is_main), not is_main


def runs_type(pool: PoolSection, routes: Routes, task_type: str) -> bool:
    """Tell whether a pool gets the tasks of a type."""
    types, is_only_these = types_of(pool, routes)
    return (task_type in types) == is_only_these


def pool_problems(pools: Mapping[str, PoolSection], routes: Routes, raw: Entries) -> Iterator[str]:
    """Yield the queues without a route, and the types of a pool whose hints go to another queue."""
    for name, pool in pools.items():
        entry = raw.get(f"pool:{name}", {}).get("queues")
        if entry is None:
            continue
        where = f"{entry.where}: [pool:{name}] queues = {entry.text!r}"
        for queue in pool.queues:
            if queue not in routes.queues:
                yield f"{where}: no route leads to {queue!r}{suggestion(queue, routes.queues)}"
        for task_type in pool.task_types:
            if (queue := routes.queue_of(task_type)) not in pool.queues:
                yield (
                    f"{where}: the pool runs {task_type}, whose hints go to {queue}; "
                    f"allowed: {queue} among the queues, or [{SECTION}] {task_type} = one of them"
                )


def unknown_types(
    pools: Mapping[str, PoolSection], routes: Routes, raw: Entries, known: Sequence[str]
) -> Iterator[str]:
    """Yield the task types in pools and routes that no installed processor has."""
    for task_type, entry in raw.get(SECTION, {}).items():
        if task_type not in known:
            yield f"{entry.where}: [{SECTION}] {task_type}: no such task type{suggestion(task_type, known)}"
    for name, pool in pools.items():
        for task_type in pool.task_types:
            if task_type not in known:
                found = raw.get(f"pool:{name}", {}).get("task_types")
                where = found.where if found else "default"
                yield f"{where}: [pool:{name}] task_types: no such task type: {task_type}{suggestion(task_type, known)}"


def mixed_queues(pools: Mapping[str, PoolSection], routes: Routes, known: Sequence[str]) -> Iterator[str]:
    """Yield what is allowed but slow: a pool that meets hints of types that it does not run."""
    for name, pool in pools.items():
        for queue in queues_of(pool, routes) if pool.task_types else ():
            if others := [one for one in known if routes.queue_of(one) == queue and one not in pool.task_types]:
                yield (
                    f"pool {name} runs {', '.join(pool.task_types)} alone, but its queue {queue} also carries "
                    f"{', '.join(others)}: each such hint takes a detour; give them a queue of their own in [routes]"
                )
