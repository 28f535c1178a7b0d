"""A keeper process from its fork to its end. Any number may run at once: they take rows with SKIP LOCKED."""

import contextlib
import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection

from dtqs import sink, unkept
from dtqs.broker.keeper_link import KeeperLink
from dtqs.config import Config
from dtqs.deadline import Deadline, Stop
from dtqs.errors import BrokerUnavailable, StoreUnavailable
from dtqs.files import FileSpace
from dtqs.keeper.chores import Chore, ChoreThread, CommonBeat, run
from dtqs.keeper.due import DueTasks
from dtqs.keeper.metrics_server import MetricsServer
from dtqs.keeper.old_queues import OLD_QUEUES_SECONDS, OldQueues
from dtqs.keeper.presence import NodePresence
from dtqs.keeper.prune import Prune
from dtqs.keeper.reclaim import Node, Reclaim
from dtqs.keeper.relay import Relay
from dtqs.keeper.repair import Repair
from dtqs.keeper.stop_signals import stop_at
from dtqs.scoreboard import ChildState, Slot
from dtqs.store import Store
from dtqs.store.workers import ProcessTotals
from dtqs.uuid7 import uuid7

logger = logging.getLogger(__name__)
_TITLE = "dtqs: keeper"
_STORE_CONNECTIONS = 4
"""One for each loop of chores: no loop waits for the statement of another one."""
_REPAIR_SECONDS = 1.0
_DISK_SECONDS = 5.0
_DUE_SECONDS = 1.0
SCHEMA_SECONDS = 30.0
_END_SECONDS = 2.0
"""The most time from the request to end. A chore that waits for PostgreSQL would take ten seconds."""
_LAST_WORDS_SECONDS = 0.2
_JOIN_SECONDS = 1.0
"""How long the end waits for the turns of all threads together. Any keeper does again what they leave."""


class Keeper:
    def __init__(
        self,
        config: Config,
        installed: Collection[str],
        slot: Slot,
        node: Node,
        last_words: Callable[[str], None],
    ) -> None:
        """`installed`: the task types that a worker of this node can run."""
        self._config, self._slot, self._last_words, self._stop = config, slot, last_words, Stop()
        self._process_id, self._node_name = uuid7(), socket.gethostname()
        self._totals = ProcessTotals(routes=config.routes.text)
        self._store = Store(config.postgresql, config.lease, _STORE_CONNECTIONS, _TITLE, retry=config.retry)
        self._link = KeeperLink(config.rabbitmq, _TITLE, self._queue_is_missing, config.routes)
        self._repair = Repair(self._store, self._link, config.lease.grace_seconds, self._process_id, config.routes)
        relay = Relay(self._store, self._link, self._totals, config.rabbitmq.publish_timeout_seconds)
        reclaim = Reclaim(self._store, self._link, self._totals, config.lease, config.supervisor, node)
        prune = Prune(self._store, FileSpace(config.files), config)
        lease = config.lease
        folders = {"files": config.files.directory, "state": config.supervisor.state_dir}
        self._presence = NodePresence(self._totals.tally, node, lambda: self._link.state, folders)
        place = config.metrics.place
        self._server = MetricsServer(place, self._presence.families, self._stop) if place else None
        self._exit_status = os.EX_OK
        self._common_beat = CommonBeat(("main", "reclaim", "upkeep"), slot.beat)
        self._chores = [
            Chore("schema", SCHEMA_SECONDS, self._check_schema),
            Chore("relay", lease.relay_seconds, relay.turn, lambda: relay.is_busy),
            Chore("repair", _REPAIR_SECONDS, self._repair.turn),
            Chore("count", lease.heartbeat_seconds, self._count),
        ]
        due = DueTasks(self._store, config.pools, config.routes, installed, node.note)
        if due.is_wanted:
            self._chores.append(Chore("due", _DUE_SECONDS, due.turn))
        self._threads = [self._reclaim_thread(reclaim), self._upkeep_thread(prune), self._files_thread(prune)]

    def run(self) -> int:
        """Run the chores until a signal to end. Returns the exit status."""
        stop_at((signal.SIGTERM, signal.SIGINT, signal.SIGQUIT), self._stop)
        threading.Thread(target=self._end_in_time, name="end", daemon=True).start()
        self._store.start()
        self._link.start()
        self._slot.state(ChildState.READY)
        if self._server:
            self._server.start()
        self._start_threads()
        run(self._chores, self._stop, self._beat_of("main"))
        joined = Deadline(_JOIN_SECONDS)
        for thread in self._threads:
            thread.join(joined)
        self._end_presence()
        self._link.stop(Deadline(1.0))
        self._store.stop()
        return self._exit_status

    def _reclaim_thread(self, reclaim: Reclaim) -> ChoreThread:
        """Return the loop that judges. Nothing else may delay it: a late turn judges no worker."""
        chores = [
            Chore("former", 3600.0, reclaim.former),
            Chore("reclaim", self._config.lease.heartbeat_seconds / 2, reclaim.turn),
        ]
        return ChoreThread("reclaim", chores, self._stop, self._beat_of("reclaim"))

    def _upkeep_thread(self, prune: Prune) -> ChoreThread:
        """Return the loop of chores that may wait: for locks, such as a backup's, or for a host without an answer."""
        chores = [
            Chore("old queues", OLD_QUEUES_SECONDS, OldQueues(self._store, self._link, self._config).turn),
            Chore("prune tasks", 60.0, prune.tasks),
            Chore("prune small", 300.0, prune.small),
            Chore("logs", 3600.0, prune.logs),
            Chore("log times", 5.0, prune.log_times),
        ]
        return ChoreThread("upkeep", chores, self._stop, self._beat_of("upkeep"))

    def _files_thread(self, prune: Prune) -> ChoreThread:
        """Return the loop that may wait for disks or object storage. Its hang is no reason to replace the keeper."""
        chores = [
            Chore("disks", _DISK_SECONDS, self._presence.disks),
            Chore("leftovers", self._config.lease.heartbeat_seconds, prune.leftovers),
            Chore("files", 300.0, prune.files),
        ]
        return ChoreThread("files", chores, self._stop)

    def _beat_of(self, loop: str) -> Callable[[], None]:
        return functools.partial(self._common_beat.beat, loop)

    def _start_threads(self) -> None:
        """Start the threads, unless this code must not work on the schema. Without PostgreSQL they begin and wait."""
        with contextlib.suppress(StoreUnavailable):
            self._check_schema()
        if not self._stop.requested:
            for thread in self._threads:
                thread.start()

    def _check_schema(self) -> bool:
        """End this process if its code must not work on the schema. Raises StoreUnavailable."""
        if refused := self._store.database.schema_refusal():
            logger.critical("cannot work on this database", extra={"reason": refused})
            self._last_words(refused)
            self._exit_status = os.EX_CONFIG
            self._stop.set()
        return False

    def _end_in_time(self) -> None:
        """End this process soon after the request, whatever its chores wait for.

        Each chore may be cut off anywhere: a keeper does it again.
        """
        while not self._stop.wait(3600.0):
            pass
        time.sleep(_END_SECONDS)
        sink.finish(_LAST_WORDS_SECONDS)
        os._exit(self._exit_status)

    def _count(self) -> bool:
        self._presence.note()
        with contextlib.suppress(BrokerUnavailable):
            self._totals.tally.replace(unkept.NAME, unkept.to_values(self._link.unkept(Deadline(1.0))))
        self._store.workers.count(self._process_id, "keeper", self._node_name, self._totals)
        self._presence.written()
        self._slot.heartbeat()
        return False

    def _end_presence(self) -> None:
        """Store the last counts. The next keeper of this node tells what is present, such as slots given up."""
        with contextlib.suppress(StoreUnavailable):
            self._store.workers.count(self._process_id, "keeper", self._node_name, self._totals, ends=True)

    def _queue_is_missing(self, queue: str, missed_at: float) -> None:
        self._repair.lost(queue, missed_at)
