"""How a stream begins beside what happens to its tasks in the same moment."""

from dtqs.api.opening import begin
from dtqs.api.watch import Hub, Watcher
from dtqs.store.reads import LogRow, Reads
from tests.fix_store import World


class ReadsBeforeTheEnd(Reads):
    """Lets a task end between the first read of its record and that of its log."""

    def __init__(self, world: World, task_id: str) -> None:
        super().__init__(world.store.database)
        self._world, self._task_id = world, task_id

    def watch(self, positions: dict[str, int], limit: int = 200) -> list[LogRow]:
        if self._world.status(self._task_id) == "pending":
            self._world.run([self._task_id])
        return super().watch(positions, limit)


def test_a_task_that_ends_while_its_stream_begins_is_told_to_have_ended(world: World) -> None:
    (task_id,) = world.submit()
    reads = ReadsBeforeTheEnd(world, task_id)
    hub, watcher = Hub(reads, 3600), Watcher({task_id: 0}, lambda: None)
    hub.add(watcher)
    begin(reads, hub, watcher, {}, [task_id], None)
    hub.ready(watcher)
    assert not watcher.positions
    assert watcher.queue[-1].event == "completed"
