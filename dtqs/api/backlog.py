"""GET /backlog: how much work there is, for engines that scale workers. It needs the scope `metrics`.

It reads only PostgreSQL, so it also answers while no worker runs.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import falcon
import gevent
from gevent.lock import BoundedSemaphore

from dtqs.api.access.auth import Auth
from dtqs.api.http.answer import answer
from dtqs.api.http.query import Query
from dtqs.api.http.refusal import RETRY_AFTER_SECONDS
from dtqs.errors import Invalid, Problem, StoreUnavailable
from dtqs.json_value import shown_key
from dtqs.store.backlog import Counts
from dtqs.suggestion import suggestion

COUNT_LIMIT = 10_000
"""More are not counted: to scale further needs no exact number, and a count costs time for each task."""
KEPT_SECONDS = 1.0
LIMIT_SECONDS = 2.0
"""Time limit of an answer. Scalers give up after 3 s, and would then not see the reason."""
TYPES_LIMIT = 50
_KEPT_LIMIT = 64
Count = Callable[[Sequence[str], int], Counts]
Part = tuple[Collection[str], bool]
"""Task types, and whether just these are meant, or all others."""
_ALL: Part = (), False


class BacklogResource:
    """`count` is the store's: due tasks and those in progress by type, of some types or all, up to a limit.

    `pools` has the part of the tasks that each pool takes. `known` are the task types of this API.
    """

    def __init__(self, auth: Auth, count: Count, pools: Mapping[str, Part], known: Collection[str]) -> None:
        self._auth, self._count, self._pools, self._known = auth, count, pools, known
        self._turn = BoundedSemaphore()
        self._kept: dict[tuple[str, ...], tuple[float, dict[str, object], frozenset[str]]] = {}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._auth.require(req, "metrics")
        query = Query(req, ("task_type",))
        types = query.texts("task_type", TYPES_LIMIT) if req.get_param("task_type") is not None else []
        query.check()
        asked = tuple(sorted({name.replace("\0", "") for name in types}))
        counts, found = self.counted(asked)
        refuse_unknown(asked, self._known, found)
        answer(resp, counts)

    def counted(self, types: tuple[str, ...]) -> tuple[dict[str, object], frozenset[str]]:
        """Return the counts of the last second, or count, and the types that have tasks.

        Raises StoreUnavailable, HTTPServiceUnavailable.
        """
        try:
            counted = gevent.spawn(self._in_turn, types).get(timeout=LIMIT_SECONDS)
        except gevent.Timeout:
            raise falcon.HTTPServiceUnavailable(
                description=f"PostgreSQL did not count within {LIMIT_SECONDS:g} s; ask again later",
                retry_after=int(RETRY_AFTER_SECONDS),
            ) from None
        if isinstance(counted, Exception):
            raise counted
        return counted  # type: ignore[no-any-return]

    def _in_turn(self, types: tuple[str, ...]) -> tuple[dict[str, object], frozenset[str]] | Exception:
        """Count, one count at a time, and return the counts or the error: gevent would print a raised one."""
        # longer than the answer may take, so that a request which waits has one reason
        if not self._turn.acquire(timeout=2 * LIMIT_SECONDS):
            return StoreUnavailable("the count before takes too long")
        try:
            at, counts, found = self._kept.get(types, (float("-inf"), {}, frozenset()))
            if time.monotonic() - at > KEPT_SECONDS:
                counted = self._count(types, COUNT_LIMIT + 1)
                counts, found = summary(counted, self._pools), frozenset(row[0] for row in counted.by_type)
                if len(self._kept) >= _KEPT_LIMIT:
                    self._kept.clear()
                self._kept[types] = time.monotonic(), counts, found
            return counts, found
        except Exception as error:
            return error
        finally:
            self._turn.release()


def refuse_unknown(asked: Collection[str], known: Collection[str], found: Collection[str]) -> None:
    """Raise Invalid for a type that this API does not know and that no task has: a mistyped one would always be 0.

    During an update other nodes may have types that this API does not know yet.
    """
    problems = [
        Problem("task_type", f"no such task type: {shown_key(name)}{suggestion(name, sorted(known))}")
        for name in asked
        if name not in known and name not in found
    ]
    if problems:
        raise Invalid(problems)


def summary(counts: Counts, pools: Mapping[str, Part]) -> dict[str, object]:
    """Return the answer for these counts."""
    return {
        **_sums(counts, _ALL),
        "task_types": {
            task_type: {"due": min(due, COUNT_LIMIT), "in_progress": min(running, COUNT_LIMIT)}
            for task_type, due, running in counts.by_type
        },
        "pools": {pool: _sums(counts, part) for pool, part in pools.items()},
    }


def _sums(counts: Counts, part: Part) -> dict[str, object]:
    types, chosen = part
    rows = [row for row in counts.by_type if (row[0] in types) == chosen]
    due, running = min(sum(row[1] for row in rows), COUNT_LIMIT), min(sum(row[2] for row in rows), COUNT_LIMIT)
    # Tasks behind the counted ones may be of these types. With 0, no worker would start and take them.
    least = 0 if counts.is_complete else 1
    return {
        "backlog": max(due + running, least),
        "due": due,
        "in_progress": running,
        "capped": not counts.is_complete,
    }
