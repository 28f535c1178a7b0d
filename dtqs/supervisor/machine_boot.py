"""The id of this machine's boot. Nothing that another boot wrote is valid for this one."""

import functools
import logging
import secrets
from pathlib import Path

logger = logging.getLogger(__name__)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def machine_boot() -> str:
    """Return the kernel's boot id. If it cannot be read, return a fresh text that equals nothing written before.

    A constant would match every boot, and every copy of a state folder on another machine.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or _unknown("the file is empty")
    except (OSError, UnicodeError) as error:
        return _unknown(getattr(error, "strerror", None) or str(error))


def _unknown(reason: str) -> str:
    _warn(reason)
    return secrets.token_hex(16)


@functools.cache
def _warn(reason: str) -> None:
    logger.warning(
        "the boot of this machine cannot be identified: each start is a new node, and the tasks of killed workers "
        "wait for the lease time; make the file readable (in a systemd unit: no ProcSubset=pid)",
        extra={"file": str(_BOOT_ID), "reason": reason},
    )
