"""The calls to Linux that Python has no name for, looked up once: a child between fork and exec must not load anything."""

import ctypes
import os
from collections.abc import Callable

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
"""The same numbers on every processor but Alpha."""

Step = Callable[[], None]
"""Something that a process does to itself, ready to be called between fork and exec. Raises OSError."""


def call(number: int, *arguments: object) -> Callable[[], int]:
    """Return the system call, ready. An argument is a whole number, bytes, a ctypes object or None. Raises OSError when called."""
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    ready = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]

    def request() -> int:
        result: int = function(ctypes.c_long(number), *ready)
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"system call {number}: {os.strerror(error)}")
        return result

    return request


def library(name: str, *arguments: object) -> Step:
    """Return a call of the C library that answers 0 where all is well. Raises OSError when called."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    ready = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]

    def request() -> None:
        if function(*ready) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"{name}: {os.strerror(error)}")

    return request


def no_new_privileges() -> Step:
    """Give up all that a set-user-id program could bring. The parts that follow need it."""
    return library("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
