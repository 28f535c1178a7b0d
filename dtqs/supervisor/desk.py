"""Carries out what operators ask: requests of `dtqs ctl`, and the signals TTIN, TTOU, USR1 and USR2.

Each answer comes at once, from the scoreboard. The loop of the supervisor then acts.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from dtqs import __version__
from dtqs.config import PoolSection, SupervisorSection
from dtqs.log import reopen
from dtqs.memory import resident_bytes
from dtqs.scoreboard import ChildState
from dtqs.supervisor.autoscaling import Autoscaling
from dtqs.supervisor.channels import ChildChannels
from dtqs.supervisor.child import Child, Stage
from dtqs.supervisor.control import Control
from dtqs.supervisor.node import NodeLock
from dtqs.supervisor.phase import Phase
from dtqs.supervisor.reload import Reload
from dtqs.supervisor.roster import Roster
from dtqs.supervisor.signals import Signals
from dtqs.supervisor.slot_state import SlotState

logger = logging.getLogger(__name__)
_MOST_SLOTS = 1024
Facts = dict[str, Any]


class Refused(Exception):
    """The request cannot be obeyed; the text says why, and what is allowed."""


class Desk:
    def __init__(
        self,
        section: SupervisorSection,
        roster: Roster,
        channels: ChildChannels,
        phase: Callable[[], Phase],
        reload: Reload,
        signals: Signals,
        pools: Mapping[str, PoolSection],
    ) -> None:
        self._section, self._roster, self._channels = section, roster, channels
        self._phase, self._reload = phase, reload
        self._node: Facts = {}
        self._control = Control(signals, self.obey)
        self._autoscaling = Autoscaling(pools, roster, channels)
        self.close, self.next_end, self.keep = self._control.close, self._control.next_end, self._autoscaling.keep

    def open(self, lock: NodeLock, goes_on: bool) -> None:
        """Take requests from now on, and log the identity of the node. `goes_on`: as a new program."""
        identity: Facts = {
            "pid": os.getpid(),
            "node_id": lock.node_id,
            "boot_id": self._channels.boot_id,
            "children": len(self._roster.slots),
            "version": __version__,
        }
        self._node = {"node": lock.folder.name} | identity
        self._control.open(lock.folder)
        logger.info("supervisor goes on" if goes_on else "supervisor started", extra=identity)

    def turn(self, now: float) -> None:
        """Answer operators, and resize the pools that scale themselves."""
        self._control.turn(now)
        if self._phase() is Phase.RUNNING:
            self._autoscaling.turn(now)

    def obey(self, asked: Mapping[str, Any], uid: int) -> Facts:
        """Obey one request of `dtqs ctl`. A refusal is an answer with the key `error`."""
        acts: dict[str, Callable[[Mapping[str, Any]], Facts]] = {
            "status": lambda _: self.status(),
            "drain": lambda _: self._drain(),
            "resume": lambda _: self._resume(),
            "grow": lambda given: self._grow(given.get("pool")),
            "shrink": lambda given: self._shrink(given.get("pool")),
            "kill": lambda given: self._kill(given.get("slot")),
        }
        name = asked.get("command")
        act = acts.get(name) if isinstance(name, str) else None
        if act is None:
            return {"error": f"no such command: {name!a:.100}; allowed: {', '.join(acts)}"}
        if name != "status":
            logger.info("operator asks", extra={"command": name, "uid": uid} | _told(asked))
        try:
            if self._phase() is not Phase.RUNNING and name not in ("status", "kill"):
                raise Refused(f"the node is {self._phase().name.lower()}: it ends, and obeys nothing but kill")
            return act(asked)
        except Refused as refusal:
            return {"error": str(refusal)}

    def obey_signal(self, number: int) -> None:
        """Obey a signal that has no other meaning for the node."""
        if number == signal.SIGUSR1:
            logger.info("log file opened again", extra={"file": reopen() or "none: the log goes to standard error"})
        elif number == signal.SIGUSR2:
            self._log_children()
        elif self._phase() is Phase.RUNNING:
            try:
                self._grow(None) if number == signal.SIGTTIN else self._shrink(None)
            except Refused as refusal:
                logger.warning("signal not obeyed", extra={"reason": str(refusal)})

    def status(self) -> Facts:
        """Return the state of the node and of each child."""
        now = time.monotonic()
        children = [self._facts_of(slot, now) for slot in self._roster.everywhere()]
        workers = [child for child in children if child["pool"] and not child["leaves"]]
        pools: dict[str, dict[str, int]] = {}
        for child in workers:
            counts = pools.setdefault(child["pool"], {"workers": 0, "ready": 0, "busy": 0})
            counts["workers"] += 1
            counts["ready"] += child["state"] in ("ready", "busy")
            counts["busy"] += child["state"] == "busy"
        phase = "paused" if self._roster.paused and self._phase() is Phase.RUNNING else self._phase().name.lower()
        facts = {"phase": phase, "summary": self._roster.summary(), "reload": asdict(self._reload.record)}
        return self._node | facts | {"pools": pools, "children": children}

    def _facts_of(self, slot: SlotState, now: float) -> Facts:
        facts: Facts = {"slot": slot.spec.name, "pool": slot.spec.pool, "leaves": slot.leaves}
        child = slot.child
        if child is None:
            given_up = self._roster.is_given_up(slot)
            state = "given up" if given_up else "paused" if self._roster.paused and slot.spec.is_worker else "waiting"
            again = None if state == "paused" else round(max(0.0, slot.restart.not_before - now), 1)
            words = self._channels.last_words(slot) or None
            return facts | {"state": state, "pid": None, "again_in_seconds": again, "last_words": words}
        record = self._channels.read(slot, child)
        return facts | {
            "state": _state_of(child, record.state, record.task_id),
            "pid": child.pid,
            "task_id": record.task_id,
            "lives_seconds": round(now - child.started_at, 1),
            "silent_seconds": round(max(0.0, now - record.beat), 1),
            "memory_bytes": resident_bytes(child.pid),
        }

    def _log_children(self) -> None:
        for facts in self.status()["children"]:
            logger.info("state of a child", extra=facts)

    def _drain(self) -> Facts:
        now, workers = time.monotonic(), 0
        self._roster.paused = True
        for slot, child in self._roster.taken():
            if slot.spec.is_worker:
                seconds = self._section.leaving_seconds
                child.drain(self._channels.read(slot, child), now, seconds, patient=True)
                workers += 1
        logger.info("paused: workers finish and take nothing", extra={"workers": workers})
        return {"paused": True, "finishing": workers}

    def _resume(self) -> Facts:
        if not self._roster.paused:
            raise Refused("the node is not paused")
        self._roster.paused = False
        for slot in list(self._roster.slots):
            # one that still finishes its task goes on, beside its successor
            if slot.spec.is_worker and slot.child and slot.child.stage is not Stage.LEFT_ALONE:
                self._roster.replace(slot)
        logger.info("resumed")
        return {"paused": False}

    def _grow(self, asked: object) -> Facts:
        pool, before = self._pool(asked)
        _, most = self._autoscaling.limits(pool) or (1, _MOST_SLOTS)
        if before >= most:
            raise Refused(f"pool {pool} has {before} workers; allowed: {most} at most")
        if self._roster.grow(pool) is None:
            raise Refused("the scoreboard has no free record; wait until leaving workers have ended")
        return self._sized(pool, before)

    def _shrink(self, asked: object) -> Facts:
        pool, before = self._pool(asked)
        least, _ = self._autoscaling.limits(pool) or (1, _MOST_SLOTS)
        if before <= least:
            raise Refused(f"pool {pool} has {before}, and at least {least} must stay; to take nothing: dtqs ctl drain")
        self._roster.shrink(pool, self._channels.is_idle)
        return self._sized(pool, before)

    def _sized(self, pool: str, before: int) -> Facts:
        workers = len(self._roster.pool(pool))
        logger.info("pool resized", extra={"pool": pool, "workers": workers, "before": before, "reason": "an operator"})
        return {"pool": pool, "workers": workers, "before": before}

    def _pool(self, asked: object) -> tuple[str, int]:
        """Return a pool and its number of workers; without a name the first pool. Raises Refused."""
        pools = list(dict.fromkeys(slot.spec.pool for slot in self._roster.slots if slot.spec.is_worker))
        pool = asked or next(iter(pools), "")
        if not isinstance(pool, str) or pool not in pools:
            raise Refused(f"no such pool: {pool!a:.100}; allowed: {', '.join(pools)}")
        return pool, len(self._roster.pool(pool))

    def _kill(self, named: object) -> Facts:
        """Kill a child with its process group. A leaving child shares its slot's name with its successor."""
        found = [(slot, child) for slot, child in self._roster.taken() if named in (slot.spec.name, str(child.pid))]
        if len(found) > 1:
            pids = ", ".join(f"{child.pid}{' (leaves)' if slot.leaves else ''}" for slot, child in found)
            raise Refused(f"{len(found)} children are in the slot {named}; name one by its pid: {pids}")
        for slot, child in found:
            logger.warning("killing child", extra={"child": slot.spec.name, "pid": child.pid, "cause": "operator"})
            child.kill(time.monotonic(), f"killed by an operator: dtqs ctl kill {named}")
            return {"killed": slot.spec.name, "pid": child.pid}
        names = sorted({slot.spec.name for slot, _ in self._roster.taken()})
        raise Refused(f"no child in the slot {named!a:.100}; allowed: {', '.join(names[:30])}, or the pid of a child")


def _state_of(child: Child, state: ChildState, task_id: str | None) -> str:
    if child.stage is not Stage.LEFT_ALONE:
        return child.stage.name.lower()
    return "busy" if state is ChildState.READY and task_id else state.name.lower()


def _told(asked: Mapping[str, Any]) -> Facts:
    return {key: f"{asked[key]:.100}" for key in ("pool", "slot") if isinstance(asked.get(key), str)}
