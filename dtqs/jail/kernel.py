"""Finds the parts of a jail that this kernel, and the limits of this process, allow. A child tries each part."""

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
"""Errors of a machine that lacks memory or another resource at the moment."""
_LANDLOCK_KERNEL = "Landlock needs Linux 5.13 or later with landlock in CONFIG_LSM, and a container that allows it"


@dataclass(frozen=True, slots=True)
class Offer:
    """The available parts. `why_not` has the reason for each missing part."""

    landlock_abi: int
    has_seccomp: bool
    namespaces: int
    why_not: dict[str, str]
    by_prctl: bool = False
    """Only the older call of seccomp works. A filter of systemd, for example, may refuse the newer call as unknown."""
    unknown: tuple[str, ...] = ()
    """Parts whose trials gave no answer, for example under load. Another trial may give one."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The missing parts that the jail needs. A network namespace is optional: seccomp refuses sockets, too."""
        needed = (("landlock", self.landlock_abi), ("seccomp", self.has_seccomp))
        return tuple(part for part, is_there in needed if not is_there)


_known: list[Offer] = []
"""The answer for this process, once it is known."""


def offer() -> Offer:
    """Return the available parts. Each is tried once, in some milliseconds, and again if the trial gave no answer."""
    if _known:
        return _known[0]
    found = tried()
    if not found.unknown:
        _known.append(found)
    return found


def tried() -> Offer:
    """Try every part."""
    why_not: dict[str, _Refusal] = {}
    abi = _landlock(why_not)
    has_seccomp, by_prctl = _seccomp(why_not)
    namespaces = privileges.own_network()
    if refusal := _trial(privileges.unshare(namespaces)):
        why_not["namespace"], namespaces = refusal, 0
    reasons = {part: refusal.text for part, refusal in why_not.items()}
    return Offer(
        abi,
        has_seccomp,
        namespaces,
        reasons,
        by_prctl,
        tuple(part for part, refusal in why_not.items() if not refusal.is_final),
    )


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The reason why a trial failed. `is_final` means that another trial would fail as well."""

    text: str
    is_final: bool = True


def _landlock(why_not: dict[str, _Refusal]) -> int:
    # a child asks for the version as well: an existing filter of system calls may kill for the question
    refusal = _trial(landlock.version())
    if refusal is None:
        ruleset = landlock.Ruleset(landlock.version()(), landlock.AllowedPaths())
        refusal = _trial(ruleset.restrict())
        ruleset.close()
    if refusal:
        why_not["landlock"] = (
            replace(refusal, text=f"{refusal.text}: {_LANDLOCK_KERNEL}") if refusal.is_final else refusal
        )
        return 0
    return landlock.version()()


def _seccomp(why_not: dict[str, _Refusal]) -> tuple[bool, bool]:
    if not seccomp.is_known(seccomp.machine()):
        why_not["seccomp"] = _Refusal(f"DTQS has no list of system calls for {seccomp.machine()}")
        return False, False
    for by_prctl in (False, True):
        refusal = _trial(seccomp.install(seccomp.Wishes(runs_program=True, has_socket=False), by_prctl))
        if refusal is None:
            why_not.pop("seccomp", None)
            return True, by_prctl
        why_not["seccomp"] = refusal
    return False, False


def _trial(part: Callable[[], object]) -> _Refusal | None:
    """Let a child take the step. Return why it failed, or None."""
    unprivileged = no_new_privileges()

    def prepare() -> None:
        # Popen in the parent returns only after the end of this function, so the child must limit its own time
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
    if status < 0:  # the kernel does not answer a call with SIGKILL: memory is short, or somebody sent it
        return _Refusal(f"its trial was killed by {signal_name(-status)}", is_final=status != -signal.SIGKILL)
    return _Refusal(os.strerror(status), is_final=status not in _FOR_NOW) if status else None
