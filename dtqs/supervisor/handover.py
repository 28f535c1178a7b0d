"""All that a supervisor leaves to the program that replaces it in the same process: node, children, shared memory.

It is one JSON text in memory, whose descriptor the new program inherits with those of the lock and of the shared
memory. So the node stays locked, and the children stay children of the same process.
"""

import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dtqs.config import SupervisorSection
from dtqs.errors import ConfigError
from dtqs.reload_record import RESTART
from dtqs.scoreboard import Death
from dtqs.supervisor.channels import ChildChannels, SharedMemory
from dtqs.supervisor.child import Child
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.reaping import children_of_ours
from dtqs.supervisor.roster import MOST_SETTLERS, Roster
from dtqs.supervisor.slot_state import SlotState
from dtqs.supervisor.spawn import ChildSpec, ChildStart

FORMAT = 1
"""Raise it when this state, the scoreboard, the marks or the last words change their layout: then a reload is refused,
because old children write the old layout."""
_MOST_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Handover:
    """The state of a supervisor between its two programs."""

    format: int
    pid: int
    node_id: str
    boot_id: str
    folder: str
    lock: int
    memory: dict[str, int]
    section: dict[str, Any]
    seats: list[dict[str, Any]]
    """The slots. All versions share this name."""
    born_with: list[int]
    was_ready: bool
    reload_number: int = 0
    found: frozenset[int] = frozenset()
    """The children of this process when the program after it began. Later ones come from its own imports."""

    @classmethod
    def of(
        cls,
        lock: NodeLock,
        channels: ChildChannels,
        section: SupervisorSection,
        roster: Roster,
        was_ready: bool,
        born_with: Collection[int],
    ) -> "Handover":
        """Return the state of a running supervisor."""
        assert channels.memory
        return cls(
            format=FORMAT,
            pid=os.getpid(),
            node_id=lock.node_id,
            boot_id=channels.boot_id,
            folder=str(lock.folder),
            lock=lock.descriptor,
            memory=asdict(channels.memory),
            section=section.model_dump(mode="json"),
            seats=slots_of(roster),
            born_with=[*born_with],
            was_ready=was_ready,
        )

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files that the new program needs."""
        return self.lock, *SharedMemory(**self.memory).descriptors

    def spared(self) -> frozenset[int]:
        """Return the processes that no child left: those from before the node, and those of our imports."""
        return frozenset(self.born_with) | (children_of_ours() - self.found)

    def write(self, reload_number: int) -> int:
        """Return the descriptor of the written state."""
        descriptor = os.memfd_create("dtqs handover", os.MFD_CLOEXEC)
        with open(os.dup(descriptor), "wb") as file:
            state = asdict(replace(self, reload_number=reload_number))
            # the next program finds them itself, and an older version does not know the name
            del state["found"]
            file.write(json.dumps(state).encode())
        return descriptor

    @classmethod
    def take(cls, descriptor: int) -> "Handover":
        """Read the state that this process has left to itself. Raises ConfigError."""
        try:
            with open(descriptor, "rb") as file:
                file.seek(0)
                state = json.loads(file.read(_MOST_BYTES))
            if state["format"] != FORMAT or state["pid"] != os.getpid():
                raise ValueError("it is for another version or another process")
            handover = cls(**state, found=frozenset(children_of_ours()))
            for each in handover.descriptors:
                os.set_inheritable(each, False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError([f"--adopt {descriptor}: no state of a supervisor: {error}"]) from error
        return handover

    def node_lock(self) -> NodeLock:
        return NodeLock.adopted(Path(self.folder), self.lock, self.node_id)

    def old_section(self) -> SupervisorSection:
        """Return the settings before the reload."""
        values = {**self.section, "state_dir": Path(self.section["state_dir"])}
        return SupervisorSection.model_construct(**values)


def requirements(records: int) -> str:
    """Return what the next program must meet, for its check."""
    return f"{FORMAT}:{records}"


def refuse_unmet(wanted: str, slots: int) -> None:
    """Compare the requirements of the running supervisor with this code. Raises ConfigError."""
    theirs, _, records = wanted.partition(":")
    if theirs != str(FORMAT):
        raise ConfigError([f"this version cannot take over the running children of the other: {RESTART}"])
    # one record stays free, since a child leaves only after its successor has come
    if records.isdecimal() and slots >= int(records):
        most = int(records) - 1
        raise ConfigError([f"a running supervisor has room for {most} children, and {slots} are wanted: {RESTART}"])


def slots_of(roster: Roster) -> list[dict[str, Any]]:
    """Return the states of all slots and leaving children."""
    return [
        {
            "name": slot.spec.name,
            "index": slot.index,
            "memory_kill": slot.spec.memory_kill,
            "leaves": slot.leaves,
            "successor": slot.successor.spec.name if slot.successor else None,
            "settlers": slot.settlers,
            "deaths": [asdict(death) for death in slot.deaths],
            "child": slot.child and slot.child.state(),
        }
        for slot in roster.everywhere()
    ]


def adopt(roster: Roster, states: Collection[dict[str, Any]], section: SupervisorSection) -> list[str]:
    """Put the children into the slots of the same name; those without a slot leave. Return slots without a record."""
    named: dict[str | None, SlotState] = {slot.spec.name: slot for slot in roster.slots}
    for slot in roster.slots:
        slot.index = -1
    kept = {state["name"] for state in states if not state["leaves"]}
    # a renamed pool: as many of its old workers go on until the new ones are ready
    added = (slot for slot in roster.slots if slot.spec.name not in kept)
    settles = next((slot.spec.main for slot in roster.slots if slot.spec.is_worker), None)
    for state in states:
        place = named.get(state["name"])
        if place is not None and not state["leaves"]:
            slot = place
        else:
            spec = ChildSpec(state["name"], f"dtqs: worker {state['name']}", settles or _nothing, state["memory_kill"])
            slot = SlotState(
                state["index"], spec, leaves=True, settlers=state["settlers"] if settles else MOST_SETTLERS
            )
            if state["leaves"]:
                slot.successor = named.get(state["successor"])
            elif state["child"]:
                slot.successor = next(added, None)
            roster.leaving.append(slot)
        slot.index, slot.deaths = state["index"], tuple(Death(**death) for death in state["deaths"])
        slot.child = Child.adopted(state["child"], section) if state["child"] else None
        if slot.leaves:
            roster.free(slot)
    return [slot.spec.name for slot in [*roster.slots] if slot.index < 0 and not roster.place(slot)]


def _nothing(_: ChildStart) -> int:
    return os.EX_OK
