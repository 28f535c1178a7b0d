"""seccomp limits the system calls of a process. This module assembles the filter, which the kernel runs at each call.

It allows only listed calls: no sockets, other processes, new programs or namespaces, links, changes of owner or mode.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dtqs.jail import syscalls
from dtqs.jail.linux import PR_SET_SECCOMP, SECCOMP_MODE_FILTER, Step, call, library

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_INSTRUCTION = struct.Struct("HBBI")
_AUDIT = {syscalls.X86_64: 0xC000003E, syscalls.AARCH64: 0xC00000B7}
_SECCOMP = {syscalls.X86_64: 317, syscalls.AARCH64: 277}
_NEWEST = 456
"""Calls above this number give ENOSYS, as calls do that are newer than the kernel: libraries expect that."""
_X32 = 0x40000000
_CLONE_THREAD, _CLONE_NEW = 0x00010000, 0x7E020080
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 1 << 2
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""Read settings and size of a terminal and the number of waiting bytes; set non-blocking and close-on-exec."""
_FCNTL_REFUSED = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: with them a process makes the kernel send any signal to another process."""
_PRCTLS = (3, 15, 16, 21, 23, 39, 0x53564D41)
"""Read dumpable, seccomp, bounding set and no_new_privs; read and set names of threads and of memory."""

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Wishes:
    """The needs of one kind of process, in addition to files, memory and threads."""

    runs_program: bool
    """It may exec its program. All programs after that stay in the jail."""
    has_socket: bool
    """It uses a socket that it inherits."""


def machine() -> str:
    return platform.machine()


def is_known(machine: str) -> bool:
    return machine in _AUDIT


def program(machine: str, wishes: Wishes, pid: int) -> list[Instruction]:
    """Assemble the filter for the process with this id."""
    numbers = syscalls.judged(machine)
    judged = _judged(numbers, pid)
    if not wishes.runs_program:
        del judged["execve"]
    allowed = set(syscalls.plain(machine).values())
    if wishes.has_socket:
        allowed |= set(syscalls.socket(machine).values())
    made = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, _AUDIT[machine]), (_RETURN, 0, 0, KILL), (_LOAD, 0, 0, _NUMBER)]
    if machine == syscalls.X86_64:  # x32 programs run on the same processor with other numbers
        made += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, KILL)]
    made += [(_ABOVE, 0, 1, _NEWEST), (_RETURN, 0, 0, ERROR | errno.ENOSYS)]
    for first, last in _runs(allowed):
        made += [(_AT_LEAST, 0, 2, first), (_ABOVE, 1, 0, last), (_RETURN, 0, 0, ALLOW)]
    for name, block in judged.items():
        made += [(_EQUAL, 0, len(block), numbers[name]), *block]
    return [*made, _refuse()]


def install(wishes: Wishes, by_prctl: bool = False) -> Step:
    """Return the step that filters the calls of the calling process. It must have one thread, and a known processor."""
    return loading(program(machine(), wishes, _PID_PLACE), by_prctl)


def loading(instructions: Sequence[Instruction], by_prctl: bool = False) -> Step:
    """Return the step that gives a program to the kernel."""
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions))
    places = [at * _INSTRUCTION.size + 4 for at, instruction in enumerate(instructions) if instruction[3] == _PID_PLACE]
    whole = _Program(len(instructions), ctypes.addressof(code))
    # a filter enables a costly protection of the processor, unless it opts out; only the newer call can opt out
    newer = call(_SECCOMP[machine()], _SET_MODE_FILTER, _SPEC_ALLOW, ctypes.byref(whole))
    older = library("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole))

    def step() -> None:
        for place in places:
            struct.pack_into("I", code, place, os.getpid())
        (older if by_prctl else newer)()

    return step


_PID_PLACE = 0xFFFFFFF0
"""Stands for the id of a process that does not exist yet."""


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _judged(numbers: dict[str, int], pid: int) -> dict[str, list[Instruction]]:
    """Return the instructions for each call that is allowed only with some arguments."""
    blocks: dict[str, list[Instruction]] = {
        "open": _opening(1),
        "openat": _opening(2),
        # its flags lie in memory as well; libraries fall back to openat
        "openat2": [(_RETURN, 0, 0, ERROR | errno.ENOSYS)],
        # only for a thread, and only without a new namespace
        "clone": [
            _argument(0),
            (_ANY_BIT, 0, 2, _CLONE_THREAD),
            (_ANY_BIT, 1, 0, _CLONE_NEW),
            (_RETURN, 0, 0, ALLOW),
            _refuse(),
        ],
        # a filter cannot read its arguments, which lie in memory: with ENOSYS the C library uses clone instead
        "clone3": [(_RETURN, 0, 0, ERROR | errno.ENOSYS)],
        "kill": _only(0, [pid]),
        "tgkill": _only(0, [pid]),
        "prlimit64": _only(0, [0, pid]),
        "sched_setaffinity": _only(0, [0, pid]),
        "fcntl": [_argument(1), *_skips(_FCNTL_REFUSED), (_RETURN, 0, 0, ALLOW), _refuse()],
        "ioctl": _only(1, _IOCTLS),
        "prctl": _only(0, _PRCTLS),
        "execve": [(_RETURN, 0, 0, ALLOW)],
    }
    return {name: block for name, block in blocks.items() if name in numbers}


def _opening(index: int) -> list[Instruction]:
    """Allow an open file, unless it could be cut without the right to write: access mode 3, or read-only with O_TRUNC.

    Landlock sees such a cut only from ABI 3 on, and asks no right at all for access mode 3.
    """
    return [
        _argument(index),
        (_ANY_BIT, 0, 1, os.O_WRONLY),
        (_ANY_BIT, 3, 2, os.O_RDWR),
        (_ANY_BIT, 1, 0, os.O_RDWR),
        (_ANY_BIT, 1, 0, os.O_TRUNC),
        (_RETURN, 0, 0, ALLOW),
        _refuse(),
    ]


def _only(index: int, values: Sequence[int]) -> list[Instruction]:
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(index), *tests, _refuse(), (_RETURN, 0, 0, ALLOW)]


def _skips(values: Sequence[int]) -> list[Instruction]:
    """Skip the next return if the argument is one of the values."""
    return [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]


def _argument(index: int) -> Instruction:
    """Load the lower half of an argument: a 32-bit integer has no more. Both processors store it first."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _refuse() -> Instruction:
    return (_RETURN, 0, 0, ERROR | errno.EPERM)


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of consecutive numbers as pairs of first and last."""
    ordered = sorted(numbers)
    first = last = ordered[0]
    for number in ordered[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
