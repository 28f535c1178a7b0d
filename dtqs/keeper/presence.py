"""The present values of a keeper and its node for /metrics: slots, disks, and its connection to RabbitMQ."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import Metric

from dtqs.given_up import NAME
from dtqs.keeper.reclaim import Node
from dtqs.metrics.node import node_families
from dtqs.scoreboard import ChildState
from dtqs.tally import Tally


class NodePresence:
    def __init__(self, tally: Tally, node: Node, broker_state: Callable[[], str], folders: Mapping[str, Path]) -> None:
        """`folders`: those whose disks are measured, by their labels."""
        self._tally, self._node, self._broker_state, self._folders = tally, node, broker_state, folders
        self._written_at = time.monotonic()

    def note(self) -> None:
        """Set the values. The next heartbeat stores them."""
        counts = Counter(record.state for record in self._node.board())
        for state in ChildState:
            self._tally.set(f"=slots|{state.name.lower()}", counts[state])
        given_up = self._node.given_up()
        self._tally.set("=slots|given_up", given_up.slots)
        self._tally.replace(NAME, given_up.values())
        self._tally.state("=broker|keeper", self._broker_state())

    def written(self) -> None:
        """Note that the heartbeat is written."""
        self._written_at = time.monotonic()

    def disks(self) -> bool:
        """Measure the disks. A network disk may not answer, so this runs in the thread for files."""
        for label, folder in self._folders.items():
            there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
            usage = shutil.disk_usage(there)
            self._tally.set(f"^disk_free|{label}", usage.free)
            self._tally.set(f"^disk_size|{label}", usage.total)
        return False

    def families(self) -> Iterator[Metric]:
        """Yield the page of the node, at any time and from any thread."""
        records, given_up = self._node.board(), self._node.given_up().slots
        return node_families(records, given_up, self._written_at, self._broker_state(), self._tally)
