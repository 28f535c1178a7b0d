"""The consequence of a child's end: the death that its successor must settle, and the cause; pure."""

import os
import signal

from dtqs.scoreboard import BROKER_FAULT, Death, SlotRecord
from dtqs.supervisor.child import LEASE_ENDED, Child, Stage
from dtqs.supervisor.reaping import End
from dtqs.uuid7 import is_uuid

_BROKER_FAILED = f"exit status {BROKER_FAULT} (its part for RabbitMQ failed)"
_DISK_FAILED = End(0, None, signal.SIGBUS).cause
"""A page of a mapped file could not be written: the marks lie in one, and a disk may be full or broken."""
_BLAME_NOBODY = (LEASE_ENDED, _BROKER_FAILED, _DISK_FAILED)


def death_of(child: Child, end: End, record: SlotRecord, now: float, out_of_memory: bool) -> Death | None:
    """Return the death that a successor must settle. A child that ended well, or had no worker row, has left none."""
    # a child whose task calls exit(0) has not ended well
    idle = record.task_id is None and not record.claims
    if (end.status == 0 and idle) or record.worker_id is None or not is_uuid(record.worker_id):
        return None
    if child.stage is Stage.KILLED and child.kill_cause is None and end.signal_number == 9:
        # the supervisor killed it only because it was late: no attempt is spent
        return Death(record.worker_id, "did not end in time when the node was stopped", None, idle=True)
    # the network is at fault, not the task
    fenced = child.kill_cause == LEASE_ENDED or (end.status == os.EX_TEMPFAIL and 0 < record.held_until <= now)
    cause = LEASE_ENDED if fenced else cause_of(child, end, out_of_memory)
    blamed = cause not in _BLAME_NOBODY
    if record.claims:
        # one of several tasks may be at fault: after a loss each is claimed alone
        return Death(record.worker_id, cause, None, idle=False, blamed=False)
    if idle or is_uuid(record.task_id or ""):
        return Death(record.worker_id, cause, record.task_id, idle=idle, blamed=blamed)
    # the task id is damaged: it is unknown which task ran
    return Death(record.worker_id, cause, None, idle=False, blamed=blamed)


def is_by_task(death: Death, record: SlotRecord) -> bool:
    """Tell whether a task probably caused this death: the running one, or one of a claim."""
    if record.claims:
        return not death.idle and death.cause not in _BLAME_NOBODY
    return death.task_id is not None and death.blamed


def telling_status(end: End) -> int:
    """Return the exit status of a node whose children cannot start: theirs if it names a cause, else EX_UNAVAILABLE."""
    return end.status if end.status in (os.EX_TEMPFAIL, os.EX_CONFIG) else os.EX_UNAVAILABLE


def cause_of(child: Child, end: End, out_of_memory: bool) -> str:
    """Return the cause of an end as text for people."""
    if end.signal_number == 9 and child.kill_cause:
        return child.kill_cause
    if end.signal_number == 9 and child.stage is not Stage.KILLED and out_of_memory:
        return "out of memory"
    return _BROKER_FAILED if end.status == BROKER_FAULT else end.cause
