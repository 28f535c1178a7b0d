"""Calls of Linux that Python lacks, looked up in advance: a child between fork and exec must not load a library."""

import ctypes
import os
from collections.abc import Callable

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
"""The same numbers on all processors but Alpha."""

Step = Callable[[], None]
"""A change that a process makes to itself, callable between fork and exec. Raises OSError."""


def call(number: int, *arguments: object) -> Callable[[], int]:
    """Return a ready system call. Arguments are integers, bytes, ctypes objects or None. The call raises OSError."""
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
    """Return a ready call of a C library function that returns 0 on success. The call raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    ready = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]

    def request() -> None:
        if function(*ready) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"{name}: {os.strerror(error)}")

    return request


def no_new_privileges() -> Step:
    """Return the step that refuses privileges of set-user-id programs. Landlock and seccomp need it."""
    return library("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
