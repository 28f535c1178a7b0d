"""Landlock limits the files that a process may open. Only files that a rule names are open.

Closed are the configuration, the state, the files of other tasks, and `/proc` of other processes. Newer kernels also
close TCP, device controls, abstract sockets, and signals to processes outside.
"""

import ctypes
import fcntl
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtqs.jail.linux import LANDLOCK_ADD_RULE, LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, Step, call

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WORK = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
"""Without symbolic links, pipes, sockets and devices: the worker opens all files that it finds there."""
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_FILE_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_FILE_BITS = 16
_TCP, _SCOPES = 0b11, 0b11
_TCP_ABI, _SCOPES_ABI = 4, 6
_VERSION = 1
_RULE_PATH_BENEATH = 1


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class AllowedPaths:
    """The files that may be opened. `programs` may run as well. `files` are open files: each keeps its access mode."""

    programs: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    work: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    files: tuple[int, ...] = ()


def version() -> Callable[[], int]:
    """Return a call that asks for the kernel's ABI of Landlock. It raises OSError if the kernel has no Landlock."""
    return call(LANDLOCK_CREATE_RULESET, None, 0, _VERSION)


class Ruleset:
    """An open ruleset. Its maker closes it. Places that do not exist are left out."""

    def __init__(self, abi: int, places: AllowedPaths) -> None:
        self._handled = (1 << _FILE_BITS.get(abi, _MOST_FILE_BITS)) - 1
        whole = _Ruleset(self._handled, _TCP if abi >= _TCP_ABI else 0, _SCOPES if abi >= _SCOPES_ABI else 0)
        size = 24 if abi >= _SCOPES_ABI else 16 if abi >= _TCP_ABI else 8
        self.fd = call(LANDLOCK_CREATE_RULESET, ctypes.byref(whole), size, 0)()
        try:
            self._fill(places)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def restrict(self) -> Step:
        """Return the step that restricts the calling thread. The thread's own entry of `/proc` stays readable."""
        rule = _Beneath(_READ & self._handled, -1)
        add = call(LANDLOCK_ADD_RULE, self.fd, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        restrict = call(LANDLOCK_RESTRICT_SELF, self.fd, 0)

        def step() -> None:
            with suppress(OSError):  # /proc may be missing
                rule.parent_fd = os.open("/proc/self", os.O_PATH | os.O_CLOEXEC)
                add()
                os.close(rule.parent_fd)
            restrict()

        return step

    def _fill(self, places: AllowedPaths) -> None:
        self._allow(places.programs, _READ | _EXECUTE)
        self._allow(places.read, _READ)
        self._allow(places.work, _WORK)
        self._allow(places.devices, _READ_FILE | _WRITE_FILE)
        for fd in places.files:
            is_writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            with suppress(OSError):  # a pipe or the like has no path: Landlock does not restrict it
                self._add(fd, _READ_FILE | (_WRITE_FILE | _TRUNCATE if is_writable else 0))

    def _allow(self, paths: Iterable[Path], rights: int) -> None:
        for path in paths:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            try:
                self._add(fd, rights)
            finally:
                os.close(fd)

    def _add(self, fd: int, rights: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_A_FILE
        rule = _Beneath(rights & self._handled, fd)
        call(LANDLOCK_ADD_RULE, self.fd, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)()
