"""The parts of a jail that this kernel and this process's own limits allow: children try each part for good."""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from dtqs.jail import landlock, privileges, seccomp
from dtqs.jail.linux import no_new_privileges

_TRIAL_SECONDS = 10.0
_LANDLOCK_KERNEL = "it needs Linux 5.13 or later with Landlock among CONFIG_LSM, and a container that allows it"


@dataclass(frozen=True, slots=True)
class Offer:
    """The parts that are there; `why_not` says of each missing one what its trial came to."""

    landlock_abi: int
    has_seccomp: bool
    namespaces: int
    why_not: dict[str, str]
    by_prctl: bool = False
    """seccomp's newer call is refused, for instance by a filter of systemd that does not know it; the older one does."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts without which a jail has a hole. A network namespace is none of them: seccomp refuses sockets as well."""
        return tuple(part for part, is_there in (("landlock", self.landlock_abi), ("seccomp", self.has_seccomp)) if not is_there)


@cache
def offer() -> Offer:
    """Try every part once for this process, in some milliseconds."""
    why_not: dict[str, str] = {}
    abi = _landlock(why_not)
    has_seccomp, by_prctl = _seccomp(why_not)
    namespaces = privileges.own_network()
    if refusal := _trial(privileges.unshare(namespaces)):
        why_not["namespace"], namespaces = refusal, 0
    return Offer(abi, has_seccomp, namespaces, why_not, by_prctl)


def _landlock(why_not: dict[str, str]) -> int:
    # asked in a child as well: a filter of system calls that is in force may kill for the question
    refusal = _trial(landlock.version())
    if refusal is None:
        ruleset = landlock.Ruleset(landlock.version()(), landlock.Places())
        refusal = _trial(ruleset.restrict())
        ruleset.close()
    if refusal:
        why_not["landlock"] = f"{refusal}: {_LANDLOCK_KERNEL}"
        return 0
    return landlock.version()()


def _seccomp(why_not: dict[str, str]) -> tuple[bool, bool]:
    if not seccomp.is_known(seccomp.machine()):
        why_not["seccomp"] = f"no list of system calls for {seccomp.machine()}"
        return False, False
    for by_prctl in (False, True):
        refusal = _trial(seccomp.install(seccomp.Wishes(runs_program=True, has_socket=False), by_prctl))
        if refusal is None:
            return True, by_prctl
        why_not["seccomp"] = refusal
    return False, False


def _trial(part: Callable[[], object]) -> str | None:
    """Let a child take the step; return why it could not, or None."""
    unprivileged = no_new_privileges()

    def prepare() -> None:
        try:
            unprivileged()
            part()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)

    child = subprocess.Popen(["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=prepare)
    try:
        status = child.wait(_TRIAL_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return f"no answer within {_TRIAL_SECONDS:g} s"
    if status < 0:
        return f"its trial was killed by {signal.Signals(-status).name}"
    return os.strerror(status) if status else None
