"""The things that children of a node are born with, and tell afterwards: scoreboard, marks and last words."""

import contextlib
import functools
import os
import uuid
from collections.abc import Sequence

from dtqs.last_words import LastWords
from dtqs.scoreboard import Death, Scoreboard, SlotRecord
from dtqs.supervisor import marks
from dtqs.supervisor.child import Child
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.roster import SlotState, heard
from dtqs.supervisor.spawn import ChildStart


class Births:
    """Made before the first fork; `begin` once the node's identity is held."""

    def __init__(self, seats: Sequence[SlotState], lock: NodeLock) -> None:
        self._lock, self._slots = lock, len(seats)
        self._workers = [seat.index for seat in seats if seat.spec.is_worker]
        self._scoreboard, self._words = Scoreboard(self._slots), LastWords(self._slots)
        self._former: tuple[Death, ...] = ()
        self.boot_id = str(uuid.uuid4())

    def begin(self) -> None:
        """Read what earlier supervisors left, and make this one's marks."""
        self._former = marks.former(self._lock.folder)
        self._scoreboard = marks.board(self._lock.folder, self.boot_id, self._slots)

    def start_of(self, seat: SlotState) -> ChildStart:
        """Return what the next child of this seat gets."""
        self._words.clear(seat.index)
        parent = os.getpid()
        return ChildStart(
            spec_name=seat.spec.name,
            slot=self._scoreboard.slot(seat.index),
            deaths=seat.deaths,
            node_id=self._lock.node_id,
            boot_id=self.boot_id,
            parent_alive=lambda: os.getppid() == parent,
            former=self._former,
            last_words=functools.partial(self._words.say, seat.index),
            wait_seconds=seat.restart.wait_seconds,
            board=functools.partial(self._scoreboard.records, self._workers),
        )

    def read(self, seat: SlotState, child: Child) -> SlotRecord:
        """Return what this child has said so far."""
        record = None
        # a task that writes wild into shared memory must not bring us down
        with contextlib.suppress(ValueError):
            record = self._scoreboard.read(seat.index)
        return heard(record, child)

    def ended(self, seat: SlotState) -> None:
        """The child of this seat was reaped, and its record has been read."""
        self._scoreboard.vacate(seat.index)

    def last_words(self, seat: SlotState) -> str:
        """Return why its last child ended, in that one's own words; empty where it said nothing."""
        return self._words.read(seat.index)
