"""Namespaces and capabilities: the process gets an empty network of its own, and no rights beyond those of its user.

An ordinary user needs a user namespace for this, which also closes `/proc` of the worker. For root, the loss of
capabilities closes it.
"""

import ctypes
import os

from dtqs.jail.linux import CLONE_NEWNET, CLONE_NEWUSER, Step, library

_VERSION_3 = 0x20080522
_DAC_READ_SEARCH = 1 << 2
"""Root needs it to read sources of other users. Landlock limits which ones."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int32))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def own_network() -> int:
    """Return the namespaces for this user. Root gets no user namespace: it could not read other users' sources."""
    return CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET


def unshare(namespaces: int) -> Step:
    """Return the step that moves the process into new namespaces."""
    return library("unshare", namespaces)


def drop_capabilities() -> Step:
    """Return the step that drops all capabilities; root keeps the one to read. With no_new_privs this is final."""
    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    library("capget", ctypes.byref(header), sets)()
    # an ordinary user keeps none, since a user namespace has given it all
    kept = sets[0].permitted & _DAC_READ_SEARCH if os.geteuid() == 0 else 0
    wanted = (_Set * 2)(_Set(kept, kept, 0), _Set(0, 0, 0))
    return library("capset", ctypes.byref(_Header(_VERSION_3, 0)), wanted)
