"""Links to tasks, files and pages, and the answer of a submit. A stream's link carries its ticket."""

from collections.abc import Callable, Mapping, Sequence

from dtqs.api.access.tickets import Tickets
from dtqs.api.tasks.records import accepted
from dtqs.id_run import id_bytes, is_among, next_id
from dtqs.task import Status

PAGE_LIMIT = 200


class Links:
    """Makes links: with auth off, without tickets; without a public URL, as paths."""

    def __init__(self, public_url: str, tickets: Tickets | None) -> None:
        self._base, self._tickets = public_url.rstrip("/"), tickets

    def task(self, task_id: str) -> str:
        return f"{self._base}/tasks/{task_id}"

    def file(self, file_id: str) -> str:
        return f"{self._base}/files/{file_id}"

    def page(self, query: str) -> str:
        return f"{self._base}/tasks?{query}"

    def array(self, task_ids: Sequence[str]) -> str:
        """Return the page that shows the tasks of an array, whose ids follow one another."""
        return self.page(f"after={next_id(task_ids[-1])}&limit={min(len(task_ids), PAGE_LIMIT)}")

    def accepted(
        self, task_ids: Sequence[str], key_id: str, statuses: Mapping[str, Status] | None = None
    ) -> list[dict[str, object]]:
        """Return the answer for each task. One ticket serves all of them if their ids follow one another.

        Streams by it count for the key.
        """
        known, ticket_for = statuses or {}, self._ticket_for(task_ids, key_id)
        return [
            accepted(self._base, task_id, known.get(task_id, Status.PENDING), ticket_for(task_id))
            for task_id in task_ids
        ]

    def _ticket_for(self, task_ids: Sequence[str], key_id: str) -> Callable[[str], str]:
        if (tickets := self._tickets) is None:
            return lambda _: ""
        count = len(task_ids)
        if count == 1 or is_among(task_ids[-1], id_bytes(task_ids[0]), count):
            ticket = f"&ticket={tickets.sign(key_id, task_ids[0], count)}"
            return lambda _: ticket
        return lambda task_id: f"&ticket={tickets.sign(key_id, task_id)}"
