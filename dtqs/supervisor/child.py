"""One child as its parent sees it: the facts of its fork, and the escalation drain → stop → kill.

Its pid is safe to signal until it is reaped, and only the supervisor reaps.
"""

import contextlib
import os
import signal
from dataclasses import asdict
from enum import IntEnum
from typing import Any

from dtqs.config import SupervisorSection
from dtqs.scoreboard import TIME_LIMIT, ChildState, Death, SlotRecord
from dtqs.supervisor.reaping import kill_group
from dtqs.supervisor.silence import Inquest

_NEVER = float("inf")
LEASE_ENDED = "its lease ended, since no heartbeat reached PostgreSQL"
SILENT = "no sign of life"
_LEASE_GRACE_SECONDS = 0.5
"""A worker ends its attempt itself before its lease ends, unless C code holds Python's lock or it is halted."""
_HANDED_OVER = (
    "pid", "started_at", "stage", "next_step_at", "killed_at", "kill_cause", "seen_ready", "wait_seconds", "takes_from",
    "_boots_since", "_owes_term", "_patient",
)  # fmt: skip


class Stage(IntEnum):
    """The last request that the parent has sent to a child."""

    LEFT_ALONE = 0
    DRAINING = 1
    STOPPING = 2
    KILLED = 3


class Child:
    """A process in a slot. Times are monotonic."""

    __slots__ = (
        "_boots_since", "_inquest", "_owes_term", "_patient", "_section", "deaths", "kill_cause", "killed_at",
        "next_step_at", "pid", "seen_ready", "stage", "started_at", "takes_from", "wait_seconds",
    )  # fmt: skip

    def __init__(
        self,
        pid: int,
        started_at: float,
        deaths: tuple[Death, ...],
        section: SupervisorSection,
        wait_seconds: float = 0.0,
    ) -> None:
        self.pid, self.started_at, self.deaths = pid, started_at, deaths
        self.stage = Stage.LEFT_ALONE
        self.next_step_at = _NEVER
        self.killed_at = _NEVER
        self.kill_cause: str | None = None
        """Why it was killed. It stays None if it only did not end in time: then its task is not at fault."""
        self.seen_ready = False
        self.wait_seconds = wait_seconds
        """How long it takes no task after it has become ready."""
        self.takes_from = _NEVER
        self._boots_since = started_at
        self._owes_term = self._patient = False
        self._inquest: Inquest | None = None
        self._section = section

    def state(self) -> dict[str, Any]:
        """Return its facts for a program that replaces this one in the same process."""
        return {name: getattr(self, name) for name in _HANDED_OVER} | {"deaths": [asdict(one) for one in self.deaths]}

    @classmethod
    def adopted(cls, state: dict[str, Any], section: SupervisorSection) -> "Child":
        """Make it from the facts of the program before this one."""
        child = cls(state["pid"], state["started_at"], tuple(Death(**one) for one in state["deaths"]), section)
        for name in _HANDED_OVER:
            setattr(child, name, state[name])
        child.stage = Stage(child.stage)
        return child

    def drain(self, record: SlotRecord, now: float, seconds: float, patient: bool = False) -> None:
        """Ask it to take no more tasks and to end within `seconds`. A later call can only shorten the time.

        A `patient` parent lets it wait for PostgreSQL if it has deaths to settle.
        """
        if self.stage is Stage.LEFT_ALONE:
            self.stage, self._owes_term = Stage.DRAINING, True
        if self.stage is Stage.DRAINING:
            self.next_step_at, self._patient = min(self.next_step_at, now + seconds), patient
        self.send_owed_term(record)

    def send_owed_term(self, record: SlotRecord) -> None:
        """Send a SIGTERM that `drain` has left for later.

        A starting child first settles the deaths of its predecessors: SIGTERM could end it before.
        """
        # a child that waits for PostgreSQL cannot settle anything now
        busy = record.state is ChildState.STARTING or (self._patient and record.state is ChildState.WAITING)
        settles = self.deaths and not record.deaths_settled and busy
        if self._owes_term and not settles:
            self._owes_term = False
            self._send(signal.SIGTERM)

    def stop(self, now: float) -> None:
        """Ask it to end at once and to give back its tasks."""
        if self.stage < Stage.STOPPING:
            self.stage, self.next_step_at, self._owes_term = Stage.STOPPING, now + self._section.stop_seconds, False
            self._send(signal.SIGINT)

    def kill(self, now: float, cause: str | None = None) -> None:
        """Kill its process group."""
        if self.stage < Stage.KILLED:
            self.stage, self.next_step_at, self.killed_at, self.kill_cause = Stage.KILLED, _NEVER, now, cause
            kill_group(self.pid)

    def escalate(self, now: float) -> None:
        """Take the next step if its time has come."""
        if now < self.next_step_at:
            return
        if self.stage is Stage.DRAINING:
            self.stop(now)
        else:
            self.kill(now)

    def note_ready(self, now: float) -> None:
        """Note that it has reported to be ready."""
        self.seen_ready, self.takes_from = True, now + self.wait_seconds

    @property
    def report_is_due(self) -> bool:
        """Tell whether the scoreboard should soon say that it is ready, or has settled its deaths."""
        return self._owes_term or (self.stage is Stage.LEFT_ALONE and not self.seen_ready)

    def beyond_reach(self, now: float) -> bool:
        """Tell whether it was killed but does not end: it hangs in the kernel, and a longer wait does not help."""
        return now - self.killed_at > self._section.stop_seconds

    def overdue(self, record: SlotRecord, now: float, awake_since: float, reached_since: float = _NEVER) -> str | None:
        """Return why it must be killed, or None.

        No limit counts before `awake_since`: until then the machine, or this supervisor, was frozen. Since
        `reached_since` another child of this node has reached PostgreSQL.
        """
        section = self._section
        if self.stage is Stage.KILLED:
            return None
        if record.kill_at and now >= max(record.kill_at, awake_since + section.hard_limit_seconds):
            return TIME_LIMIT
        if record.kill_at and now >= max(lease_kill_at(record), awake_since + _LEASE_GRACE_SECONDS):
            return LEASE_ENDED
        # others have its leases now, or soon: it can write nothing, so its end loses nothing
        if record.state is ChildState.READY and record.held_until > 0:
            cut_off = now - max(record.held_until, awake_since, reached_since)
            if cut_off > section.beat_timeout_seconds:
                return LEASE_ENDED
        if record.state is ChildState.STARTING:
            late = now - max(self._boots_since, awake_since) > section.boot_timeout_seconds
            return f"not ready within {section.boot_timeout_seconds:g} s" if late else None
        if record.state is ChildState.WAITING:
            self._boots_since = now  # the wait for PostgreSQL does not count as start time
        silent = now - max(record.beat, awake_since) > section.beat_timeout_seconds
        return f"{SILENT} for {section.beat_timeout_seconds:g} s" if silent else None

    def thread_report(self, record: SlotRecord, now: float, awake_since: float) -> str | None:
        """Return the states of a silent child's threads once it may be killed.

        Return None before the second look at them, and while the machine keeps the child from running.
        """
        if self._inquest is None:
            self._inquest = Inquest(self.pid, max(record.beat, awake_since), now)
        return self._inquest.report(now, self._section.beat_timeout_seconds)

    def note_sign_of_life(self) -> None:
        """End the inquest, if there is one."""
        self._inquest = None

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def lease_kill_at(record: SlotRecord) -> float:
    """Return when a running attempt must be killed, because others may take its lease: by a clock of this host."""
    return record.held_until + _LEASE_GRACE_SECONDS if record.held_until else _NEVER
