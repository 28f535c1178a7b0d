"""The shared memory of a node's children: each gets its part at the fork and reports through it."""

import contextlib
import functools
import mmap
import os
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from dtqs.due_note import note_bytes
from dtqs.given_up import GivenUp
from dtqs.last_words import LINE_BYTES, LastWords, Note, words_bytes
from dtqs.scoreboard import Death, Scoreboard, SlotRecord, board_bytes
from dtqs.supervisor import marks
from dtqs.supervisor.child import Child
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.roster import record_of
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildStart

_LEAST_RECORDS = 256


def records_for(slots: int) -> int:
    """Return how many records a node with this many slots gets. Leaving children and new slots need some more."""
    return max(_LEAST_RECORDS, 2 * slots)


def places_of(records: int) -> int:
    """Return how many of these records children may have. The last words of the last two are notes.

    The one before the last carries the supervisor's note for the keeper. The last one carried the keeper's note, which
    has memory of its own now; a keeper from before a reload may still write it.
    """
    return records - 2


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """The descriptors of the memory. A supervisor that executes itself again inherits them."""

    slots: int
    board: int
    marks: int
    words: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        return self.board, self.marks, self.words


_SETTLER_SECONDS = 3600.0
"""Longer than the supervisor waits for a child that only settles deaths."""


class ChildChannels:
    """Scoreboard, marks and last words, made before the first fork. Call `begin` once the node holds its identity.

    `pools`: the pools that the keeper's note may name.
    """

    def __init__(self, records: int, lock: NodeLock, pools: Collection[str] = ()) -> None:
        self._lock, self._records, self._note_bytes = lock, records, note_bytes(pools)
        self._scoreboard, self._words, self._note = Scoreboard(1), LastWords(1), Note(0, mmap.mmap(-1, 1))
        self._former: tuple[Death, ...] = ()
        self._given_up = GivenUp()
        self.memory: SharedMemory | None = None
        self.boot_id = str(uuid.uuid4())

    def begin(self) -> None:
        """Read the marks of earlier supervisors, and make those of this one."""
        folder = self._lock.folder
        self._former = marks.former(folder)
        self._map(
            SharedMemory(
                self._records,
                marks.memory("dtqs scoreboard", board_bytes(self._records)),
                marks.make(folder, self.boot_id, self._records),
                marks.memory("dtqs last words", self._words_bytes),
            )
        )

    def adopt(self, boot_id: str, memory: SharedMemory) -> None:
        """Go on with the memory of the program before this one in the same process, instead of `begin`."""
        self.boot_id, self._records = boot_id, memory.slots
        self._former = marks.former(self._lock.folder, boot_id)
        self._map(memory)
        # the slots begin anew, and so do the counts
        self._words.clear(self._records - 2)
        self._words.clear(self._records - 1)
        self._note.clear()

    def _map(self, memory: SharedMemory) -> None:
        records = memory.slots
        board = mmap.mmap(memory.board, board_bytes(records))
        marked = mmap.mmap(memory.marks, marks.marks_bytes(records))
        self._scoreboard = Scoreboard(records, marked, marks.HEAD_BYTES, board)
        # a reload may bring more pools; old children keep the part that they have mapped
        if os.fstat(memory.words).st_size < self._words_bytes:
            os.ftruncate(memory.words, self._words_bytes)
        words = mmap.mmap(memory.words, 0)
        self._words, self._note = LastWords(records, words), Note(records, words)
        self.memory = memory

    @property
    def _words_bytes(self) -> int:
        return words_bytes(self._records) + self._note_bytes + 1

    def close(self) -> None:
        """Close the descriptors. The memory stays mapped. A new child closes its copies."""
        memory, self.memory = self.memory, None
        for descriptor in memory.descriptors if memory else ():
            os.close(descriptor)

    def start_of(self, slot: SlotState, settler: bool = False) -> ChildStart:
        """Return the start values of the next child of this slot. A `settler` takes no task until it is asked to end.

        Otherwise it could begin the task that it gives back, before its signal arrives.
        """
        self._words.clear(slot.index)
        parent = os.getpid()
        return ChildStart(
            spec_name=slot.spec.name,
            slot=self._scoreboard.slot(slot.index),
            deaths=slot.deaths,
            node_id=self._lock.node_id,
            boot_id=self.boot_id,
            parent_alive=lambda: os.getppid() == parent,
            former=self._former,
            last_words=functools.partial(self._words.say, slot.index),
            wait_seconds=_SETTLER_SECONDS if settler else slot.restart.wait_seconds,
            board=self._scoreboard.records,
            given_up=self._read_given_up,
            note=self._note.say,
            vouch=self._scoreboard.vouch,
        )

    def read(self, slot: SlotState, child: Child) -> SlotRecord:
        """Return the current record of this child."""
        record = None
        # a task that overwrites shared memory must not end the supervisor
        with contextlib.suppress(ValueError):
            record = self._scoreboard.read(slot.index)
        return record_of(record, child)

    def is_idle(self, slot: SlotState) -> bool:
        """Tell whether this slot's child runs no task now."""
        return slot.child is None or self.read(slot, slot.child).task_id is None

    def note_given_up(self, given_up: GivenUp) -> None:
        """Tell the keeper which slots are given up, and why."""
        if given_up != self._given_up:
            self._given_up = given_up
            self._words.say(self._records - 2, given_up.line(LINE_BYTES))

    def _read_given_up(self) -> GivenUp:
        """Read it in a child. A torn line changes nothing."""
        self._given_up = GivenUp.read(self._words.read(self._records - 2)) or self._given_up
        return self._given_up

    def ended(self, slot: SlotState) -> None:
        """Detach the record of the reaped child. Read the record before."""
        self._scoreboard.vacate(slot.index)

    def last_words(self, slot: SlotState) -> str:
        """Return why the last child of this slot ended, in its own words, or an empty text."""
        return self._words.read(slot.index)

    def keepers_note(self) -> str:
        """Return the last note of the keeper, or an empty text."""
        return self._note.read() or self._words.read(self._records - 1)
