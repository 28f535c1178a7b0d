"""The due tasks that a pool without task types is told of."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from dtqs.config import PoolSection
from dtqs.due_note import DueNote
from dtqs.keeper.due import DueTasks
from dtqs.routes import NO_ROUTES, Routes

INSTALLED = ("echo", "image", "video")


class Backlog:
    """Due tasks by type, in the order of their publish times; counted as the store does it."""

    def __init__(self, *types: str) -> None:
        self.types = types

    def count_due(self, most: int, types: Sequence[str], chosen: bool) -> int:
        seen = self.types[:most]
        return max(sum((one in types) == chosen for one in seen), int(len(seen) >= most))


def due(backlog: Backlog, pool: PoolSection, routes: Routes = NO_ROUTES) -> int:
    lines = list[str]()
    store = cast(Any, type("Store", (), {"backlog": backlog}))
    DueTasks(store, {"own": pool}, routes, INSTALLED, lines.append).turn()
    note = DueNote.read(lines[0])
    assert note
    return note.due["own"]


@pytest.mark.parametrize(("count", "found"), [(1, 0), (4999, 0), (6000, 1)])
def test_tasks_of_a_type_that_is_not_installed_start_no_worker(count: int, found: int) -> None:
    """As of a processor that was removed: its tasks wait for a person. A full look counts as one task."""
    assert due(Backlog(*["removed"] * count), PoolSection(min=1, max=8)) == found


def test_a_pool_counts_the_types_of_its_queues() -> None:
    routes, backlog = Routes({"video": "movies"}), Backlog("video", "echo", "image", "removed")
    assert due(backlog, PoolSection(min=1, max=8, queues=("task_queue",)), routes) == 2
    assert due(backlog, PoolSection(min=1, max=8, queues=("movies",)), routes) == 1
    assert due(backlog, PoolSection(min=1, max=8)) == 3
