"""The parts of a jail that this kernel and this process's own limits allow: children try each part for good."""

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace

from dtqs.jail import landlock, privileges, seccomp
from dtqs.jail.linux import no_new_privileges
from dtqs.signal_name import signal_name

_TRIAL_SECONDS = 10
_FOR_NOW = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EINTR})
"""Of a machine that has too little at the moment."""
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
    not_told: tuple[str, ...] = ()
    """Parts whose trials had no answer, for instance under load: another trial may have one."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts without which a jail has a hole. A network namespace is none of them: seccomp refuses sockets as well."""
        return tuple(
            part for part, is_there in (("landlock", self.landlock_abi), ("seccomp", self.has_seccomp)) if not is_there
        )


_told: list[Offer] = []
"""The answer of this process, once it has one."""


def offer() -> Offer:
    """Return what is there. Each part is tried once, in some milliseconds, and again where the trial had no answer."""
    if _told:
        return _told[0]
    found = tried()
    if not found.not_told:
        _told.append(found)
    return found


def tried() -> Offer:
    """Try every part."""
    why_not: dict[str, _Refusal] = {}
    abi = _landlock(why_not)
    has_seccomp, by_prctl = _seccomp(why_not)
    namespaces = privileges.own_network()
    if refusal := _trial(privileges.unshare(namespaces)):
        why_not["namespace"], namespaces = refusal, 0
    words = {part: refusal.words for part, refusal in why_not.items()}
    return Offer(
        abi,
        has_seccomp,
        namespaces,
        words,
        by_prctl,
        tuple(part for part, refusal in why_not.items() if not refusal.is_final),
    )


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a trial failed, and whether another one would as well."""

    words: str
    is_final: bool = True


def _landlock(why_not: dict[str, _Refusal]) -> int:
    # asked in a child as well: a filter of system calls that is in force may kill for the question
    refusal = _trial(landlock.version())
    if refusal is None:
        ruleset = landlock.Ruleset(landlock.version()(), landlock.AllowedPaths())
        refusal = _trial(ruleset.restrict())
        ruleset.close()
    if refusal:
        why_not["landlock"] = (
            replace(refusal, words=f"{refusal.words}: {_LANDLOCK_KERNEL}") if refusal.is_final else refusal
        )
        return 0
    return landlock.version()()


def _seccomp(why_not: dict[str, _Refusal]) -> tuple[bool, bool]:
    if not seccomp.is_known(seccomp.machine()):
        why_not["seccomp"] = _Refusal(f"no list of system calls for {seccomp.machine()}")
        return False, False
    for by_prctl in (False, True):
        refusal = _trial(seccomp.install(seccomp.Wishes(runs_program=True, has_socket=False), by_prctl))
        if refusal is None:
            why_not.pop("seccomp", None)
            return True, by_prctl
        why_not["seccomp"] = refusal
    return False, False


def _trial(part: Callable[[], object]) -> _Refusal | None:
    """Let a child take the step; return why it could not, or None."""
    unprivileged = no_new_privileges()

    def prepare() -> None:
        # the child ends itself: its parent comes no further than Popen before that
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.alarm(_TRIAL_SECONDS)
        try:
            unprivileged()
            part()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)

    child = subprocess.Popen(
        ["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=prepare
    )
    status = child.wait()
    if status == -signal.SIGALRM:
        return _Refusal(f"no answer within {_TRIAL_SECONDS} s", is_final=False)
    if status < 0:  # SIGKILL is no answer of the kernel to this call: memory is short, or somebody sent it
        return _Refusal(f"its trial was killed by {signal_name(-status)}", is_final=status != -signal.SIGKILL)
    return _Refusal(os.strerror(status), is_final=status not in _FOR_NOW) if status else None
