"""One child as its parent sees it: what it was told at its fork, and the escalation drain → stop → kill once it is to end.

Its pid is safe to signal for as long as it was not reaped, which only the supervisor does.
"""

import contextlib
import os
import signal
from enum import IntEnum

from dtqs.config import SupervisorSection
from dtqs.scoreboard import ChildState, Death, SlotRecord
from dtqs.supervisor.reaping import kill_group
from dtqs.supervisor.silence import Inquest

_NEVER = float("inf")
SILENT = "no sign of life"


class Stage(IntEnum):
    """How far the parent has gone with a child."""

    LEFT_ALONE = 0
    DRAINING = 1
    STOPPING = 2
    KILLED = 3


class Child:
    """A process in a slot. Times are monotonic."""

    __slots__ = (
        "_boots_since", "_inquest", "_owes_term", "_section", "deaths", "kill_cause", "killed_at", "next_step_at", "pid", "seen_ready", "stage", "started_at",
        "takes_from", "wait_seconds",
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
        """Why it was killed; None also when it was killed only because it did not end in time, which is no fault of its task."""
        self.seen_ready = False
        self.wait_seconds = wait_seconds
        """How long it takes no task once it is ready."""
        self.takes_from = _NEVER
        self._boots_since = started_at
        self._owes_term = False
        self._inquest: Inquest | None = None
        self._section = section

    def drain(self, record: SlotRecord, now: float, seconds: float) -> None:
        """Ask it to take nothing more and to end within so many seconds. Said once; what follows is `escalate`'s."""
        if self.stage is Stage.LEFT_ALONE:
            self.stage, self.next_step_at, self._owes_term = Stage.DRAINING, now + seconds, True
        self.remind(record)

    def remind(self, record: SlotRecord) -> None:
        """Send the SIGTERM that it is owed. A child that starts with deaths to settle gets it only after that, lest it die before it can."""
        settles = (
            self.deaths and not record.deaths_settled and record.state is ChildState.STARTING
        )  # one that waits for PostgreSQL cannot
        if self._owes_term and not settles:
            self._owes_term = False
            self._send(signal.SIGTERM)

    def stop(self, now: float) -> None:
        """Ask it to end at once and to give back what it holds."""
        if self.stage < Stage.STOPPING:
            self.stage, self.next_step_at, self._owes_term = Stage.STOPPING, now + self._section.stop_seconds, False
            self._send(signal.SIGINT)

    def kill(self, now: float, cause: str | None = None) -> None:
        """Kill its process group."""
        if self.stage < Stage.KILLED:
            self.stage, self.next_step_at, self.killed_at, self.kill_cause = Stage.KILLED, _NEVER, now, cause
            kill_group(self.pid)

    def escalate(self, now: float) -> None:
        """Take the next step when its time has come."""
        if now < self.next_step_at:
            return
        if self.stage is Stage.DRAINING:
            self.stop(now)
        else:
            self.kill(now)

    def is_ready(self, now: float) -> None:
        """It has said so."""
        self.seen_ready, self.takes_from = True, now + self.wait_seconds

    @property
    def waits_for_word(self) -> bool:
        """What it says next on the scoreboard is waited for: that it is ready, or has settled its deaths."""
        return self._owes_term or (self.stage is Stage.LEFT_ALONE and not self.seen_ready)

    def beyond_reach(self, now: float) -> bool:
        """It was killed and yet does not end: it hangs in the kernel, and waiting longer helps nobody."""
        return now - self.killed_at > self._section.stop_seconds

    def overdue(self, record: SlotRecord, now: float, awake_since: float) -> str | None:
        """Return why it must be killed, or None. What was due before `awake_since` is counted from then: until then we slept ourselves."""
        section = self._section
        if self.stage is Stage.KILLED:
            return None
        if record.kill_at and now >= max(record.kill_at, awake_since + section.hard_limit_seconds):
            return "time limit"
        if record.state is ChildState.STARTING:
            late = now - max(self._boots_since, awake_since) > section.boot_timeout_seconds
            return f"not ready within {section.boot_timeout_seconds:g} s" if late else None
        if record.state is ChildState.WAITING:
            self._boots_since = now  # its wait is no part of its start
        silent = now - max(record.beat, awake_since) > section.beat_timeout_seconds
        return f"{SILENT} for {section.beat_timeout_seconds:g} s" if silent else None

    def last_words(self, record: SlotRecord, now: float, awake_since: float) -> str | None:
        """Ask a silent child how its threads stand; None while that is waited for, or while the machine keeps it from running."""
        if self._inquest is None:
            self._inquest = Inquest(self.pid, max(record.beat, awake_since), now)
        return self._inquest.account(now, self._section.beat_timeout_seconds)

    def is_heard(self) -> None:
        """It has given a sign of life."""
        self._inquest = None

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
