"""The reload of a node: a check in a fresh process, and its result for the log, systemd and a file."""

import logging
import os
import time
from pathlib import Path

from dtqs.config import SupervisorSection
from dtqs.reload_record import CHECKING, DONE, ENDS, NEVER, PAUSED, REFUSED, STUCK, ReloadRecord
from dtqs.reload_record import ROLLING as ROLLING
from dtqs.supervisor.again import ReloadCheck
from dtqs.supervisor.reaping import End
from dtqs.systemd import Notifier

logger = logging.getLogger(__name__)


class Reload:
    """The check of a reload, and the result of the last one. `begin` comes first."""

    def __init__(self, section: SupervisorSection) -> None:
        self._section, self._notifier, self._folder = section, Notifier(None), Path()
        self._check: ReloadCheck | None = None
        self.record = ReloadRecord(os.getpid())
        self.is_approved = False
        """The new configuration and code are right: execute the program again."""

    def begin(self, folder: Path, notifier: Notifier, number: int = 0) -> None:
        """Go on after this many reloads."""
        self._folder, self._notifier = folder, notifier
        before = ReloadRecord.read(folder)
        self.record = ReloadRecord(os.getpid(), number)
        # a reason at the check, which did not refuse, is a doubt
        goes_on = number and before and (before.pid, before.number, before.state) == (os.getpid(), number, CHECKING)
        self._note(ROLLING if number else NEVER, before.reason if before and goes_on else "")

    @property
    def told(self) -> str:
        """A text for the status of the node: why the last reload failed, or nothing."""
        first = self.record.reason.splitlines()[0] if self.record.reason else ""
        words = {REFUSED: "not reloaded", STUCK: "reloaded in part"}.get(self.record.state)
        return f"; {words}: {first}" if words else ""

    @property
    def pids(self) -> frozenset[int]:
        """The process of the running check, if there is one."""
        return frozenset([self._check.pid]) if self._check else frozenset()

    def ask(self, requirements: str, now: float, paused: bool) -> None:
        """Begin a reload, in place of a running check. A paused node refuses it."""
        self.abandon()
        self.record = ReloadRecord(os.getpid(), self.record.number + 1)
        if paused:
            self.refuse(PAUSED)
            return
        self._notifier.reloading()
        self._note(CHECKING)
        logger.info("reload: checking configuration and code", extra={"number": self.record.number})
        try:
            self._check = ReloadCheck(requirements, now, self._section.boot_timeout_seconds)
        except OSError as error:
            self.refuse(f"the check cannot start: {error}")

    def turn(self, now: float, paused: bool) -> None:
        """Limit a running check. In a node that was paused meanwhile, refuse the reload."""
        if paused and (self._check or self.is_approved):
            self.abandon()
            self.refuse(PAUSED)
        elif self._check:
            self._check.limit(now)

    def reaped(self, end: End) -> None:
        """Note the end of the check."""
        if self._check and end.pid == self._check.pid:
            check, self._check = self._check, None
            problem = check.problem(end)
            if problem is None:
                self.is_approved = True
                self._doubt(check.doubt)
            else:
                self.refuse(problem)

    def _doubt(self, doubt: str) -> None:
        """Tell the warnings of the check. The record keeps them for the next program."""
        if doubt:
            self._note(CHECKING, doubt)
            logger.warning("reload: the check warns", extra={"reason": doubt})

    def refuse(self, reason: str) -> None:
        """End the reload; everything stays as it is."""
        self.is_approved = False
        self._note(REFUSED, reason)
        self._notifier.reloaded()
        logger.error("not reloaded, configuration and code stay as they are", extra={"reason": reason})

    def finish(self, stuck: str | None = None) -> None:
        """Note that all children are new, or why one does not become ready. A later request keeps its own record."""
        if self.record.state in (ROLLING, STUCK):
            self._note(STUCK if stuck else DONE, stuck or (self.record.reason if self.record.state == ROLLING else ""))
            if stuck:
                logger.error("reloaded in part, it goes on when the obstacle is gone", extra={"reason": stuck})
            self._notifier.reloaded()

    def end(self) -> None:
        """Note that the node ends."""
        self.abandon()
        # while children are replaced, the new configuration and code have effect already
        if over := {CHECKING: REFUSED, ROLLING: STUCK}.get(self.record.state):
            self._note(over, ENDS)

    def abandon(self) -> None:
        """End a running check: the node ends, or another reload begins."""
        check, self._check, self.is_approved = self._check, None, False
        if check:
            check.abandon()

    def _note(self, state: str, reason: str = "") -> None:
        self.record = ReloadRecord(os.getpid(), self.record.number, state, reason, time.time())
        self.record.write(self._folder)
