"""The memory of a process, from /proc."""

import os

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int | str = "self") -> int:
    """Return the resident memory of a process; 0 for one that has ended."""
    return _statm(pid, 1)


def address_bytes() -> int:
    """Return the address space of this process."""
    return _statm("self", 0)


def _statm(pid: int | str, field: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(256).split()[field]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
