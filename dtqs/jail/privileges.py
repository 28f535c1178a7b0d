"""Namespaces and capabilities: a network of the process's own, with nothing in it, and no right beyond those of its user.

An ordinary user needs a user namespace for that. It also closes `/proc` of the worker, as lost capabilities do for root.
"""

import ctypes
import os

from dtqs.jail.linux import CLONE_NEWNET, CLONE_NEWUSER, Step, library

_VERSION_3 = 0x20080522
_DAC_READ_SEARCH = 1 << 2
"""Root reads sources of other users with it; Landlock says which."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int32))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def own_network() -> int:
    """Return the namespaces that this user asks for. In a user namespace root could no longer read other users' sources."""
    return CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET


def unshare(namespaces: int) -> Step:
    return library("unshare", namespaces)


def drop_capabilities() -> Step:
    """Give up every capability; root keeps the one to read. With no_new_privs no program brings them back."""
    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    library("capget", ctypes.byref(header), sets)()
    # the namespace brings new ones, so what an ordinary user has is not asked
    kept = sets[0].permitted & _DAC_READ_SEARCH if os.geteuid() == 0 else 0
    wanted = (_Set * 2)(_Set(kept, kept, 0), _Set(0, 0, 0))
    return library("capset", ctypes.byref(_Header(_VERSION_3, 0)), wanted)
