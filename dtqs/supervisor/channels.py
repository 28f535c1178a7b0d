"""The shared memory of a node's children: each gets its part at the fork and reports through it."""

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
from dtqs.supervisor.roster import SlotState, record_of
from dtqs.supervisor.spawn import ChildStart


class ChildChannels:
    """Scoreboard, marks and last words, made before the first fork. Call `begin` once the node holds its identity."""

    def __init__(self, seats: Sequence[SlotState], lock: NodeLock) -> None:
        self._lock, self._slots = lock, len(seats)
        self._workers = [seat.index for seat in seats if seat.spec.is_worker]
        self._scoreboard, self._words = Scoreboard(self._slots), LastWords(self._slots)
        self._former: tuple[Death, ...] = ()
        self.boot_id = str(uuid.uuid4())

    def begin(self) -> None:
        """Read the marks of earlier supervisors, and make those of this one."""
        self._former = marks.former(self._lock.folder)
        self._scoreboard = marks.board(self._lock.folder, self.boot_id, self._slots)

    def start_of(self, seat: SlotState) -> ChildStart:
        """Return the start values of the next child of this seat."""
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
        """Return the current record of this child."""
        record = None
        # a task that overwrites shared memory must not end the supervisor
        with contextlib.suppress(ValueError):
            record = self._scoreboard.read(seat.index)
        return record_of(record, child)

    def ended(self, seat: SlotState) -> None:
        """Detach the record of the reaped child. Read the record before."""
        self._scoreboard.vacate(seat.index)

    def last_words(self, seat: SlotState) -> str:
        """Return why the last child of this seat ended, in its own words, or an empty text."""
        return self._words.read(seat.index)
