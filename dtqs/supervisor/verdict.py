"""Logs the end of a child, and its consequence for the slot, as `restart` has decided it."""

import logging

from dtqs.config import SupervisorSection
from dtqs.scoreboard import Death
from dtqs.supervisor.reaping import End
from dtqs.supervisor.slot_state import SlotState

logger = logging.getLogger(__name__)


def log_end(slot: SlotState, end: End, cause: str, death: Death | None, lived_seconds: float) -> None:
    """Log the end of a child."""
    fields = {
        "child": slot.spec.name,
        "pid": end.pid,
        "cause": cause,
        "lived_seconds": round(lived_seconds, 1),
        "max_rss_bytes": end.max_rss_bytes,
        "task_id": death.task_id if death else None,
    }
    logger.log(logging.INFO if end.status == 0 and not death else logging.WARNING, "child ended", extra=fields)


def log_consequence(slot: SlotState, cause: str, now: float, section: SupervisorSection) -> None:
    """Log that the slot was given up, is slowed down, or is filled later, and the cause.

    A slot that tasks have slowed down may lose its next child for another reason.
    """
    restart, child = slot.restart, {"child": slot.spec.name}
    in_seconds = round(restart.not_before - now, 2)
    if restart.given_up(section):
        fields = {"times": restart.unready, "reason": cause, "again_in_seconds": round(in_seconds)}
        logger.error("slot given up: the next try comes later, or at once after SIGHUP", extra=child | fields)
    elif slot.by_task and restart.wait_seconds:
        fields = {"deaths": restart.fruitless, "cause": cause, "wait_seconds": round(restart.wait_seconds, 2)}
        logger.warning("slot slowed down: tasks kill its workers before they finish any", extra=child | fields)
    elif in_seconds > 0:
        logger.info("restarting later", extra=child | {"in_seconds": in_seconds, "young": restart.young})
