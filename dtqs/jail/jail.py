"""The two ways into the jail: `Jail` prepares it for a child that becomes ffmpeg; a Python process calls `enter`."""

import logging
import os
import resource
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import orjson

from dtqs.errors import JailNotEntered, JailUnavailable
from dtqs.jail import kernel, places, privileges, seccomp
from dtqs.jail.kernel import Offer
from dtqs.jail.landlock import AllowedPaths, Ruleset
from dtqs.jail.linux import CLONE_NEWUSER, Step, no_new_privileges
from dtqs.jail.seccomp import Wishes

logger = logging.getLogger(__name__)

Mode = Literal["best", "required"]
_OPEN_FILES = 512
_THREADS, _THREADS_PER_CORE = 1024, 32


@dataclass(frozen=True, slots=True)
class Jail:
    """The setting `[files] jail`: `required` runs nothing if a part is missing, `best` leaves out missing parts."""

    mode: Mode = "best"
    found: Offer | None = None
    """The parts that the kernel offers. None means that the first use tries them."""

    def offer(self) -> Offer:
        """Return the offer of the kernel. Raises JailUnavailable, or JailNotEntered if a trial gave no answer."""
        found = self.found or kernel.offer()
        if unknown := [part for part in found.missing if part in found.unknown]:
            raise JailNotEntered(
                "it is unknown at the moment whether the kernel has these parts: "
                + "; ".join(f"{part}: {found.why_not[part]}" for part in unknown)
            )
        if self.mode == "required" and found.missing:
            raise JailUnavailable([f"{part}: {found.why_not[part]}" for part in found.missing])
        if found.missing:
            _warn(found.missing)
        return found

    @contextmanager
    def prepared(self, program: Path, work: Path, files: Sequence[int]) -> Iterator[Step]:
        """Yield the step for a child before it becomes the program. The program works in one folder and inherits files.

        The step loads no library. It raises OSError if an offered part fails. Raises JailUnavailable.
        """
        offered = self.offer()
        allowed = AllowedPaths(places.programs(program), places.read(), (work,), places.devices(), tuple(files))
        with _ruleset(offered, allowed) as ruleset:
            yield self._steps(offered, ruleset, Wishes(runs_program=True, has_socket=False))

    def orders(self) -> str:
        """Return the orders with which a Python process of DTQS can `enter`, as text. Raises JailUnavailable."""
        return orjson.dumps({"mode": self.mode, "offer": asdict(self.offer())}).decode()

    def _steps(self, offered: Offer, ruleset: Ruleset | None, wishes: Wishes) -> Step:
        """Return all parts as one step. The order matters: the last part refuses the system calls of the others."""
        optional = _optional(_namespaces(offered))
        firm = [no_new_privileges() if ruleset or offered.has_seccomp else _optional(no_new_privileges())]
        if ruleset:
            firm.append(ruleset.restrict())
        if offered.has_seccomp:
            firm.append(seccomp.install(wishes, offered.by_prctl))

        def step() -> None:
            optional()
            for part in firm:
                part()

        return step


def enter(orders: str, work: Path | None = None, *, has_socket: bool = False) -> None:
    """Enter the jail for good, by the orders of the worker. Before, load all modules from other places.

    In the jail the process may read Python's modules, and write in its folder if it has one. Raises RuntimeError if
    there is a second thread: that one would stay outside. If an offered part fails, this prints the error and ends the
    process with EX_TEMPFAIL.
    """
    if _threads() > 1:
        raise RuntimeError("a library has started a second thread, which would stay outside the jail: import it later")
    decoded = orjson.loads(orders)
    jail, offered = Jail(decoded["mode"]), Offer(**decoded["offer"])
    read = (*places.programs(), *places.read(), *places.python())
    allowed = AllowedPaths(read=read, work=(work,) if work else (), devices=places.devices())
    with _ruleset(offered, allowed) as ruleset:
        try:
            jail._steps(offered, ruleset, Wishes(runs_program=False, has_socket=has_socket))()
        except OSError as error:
            print(JailNotEntered(str(error)), file=sys.stderr)
            sys.exit(os.EX_TEMPFAIL)


@cache
def _warn(missing: tuple[str, ...]) -> None:
    """Log it once per process."""
    logger.warning(
        "the jail for programs that read foreign files lacks a part; see: dtqs doctor",
        extra={"missing": ", ".join(missing)},
    )


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:  # no /proc
        return threading.active_count()


@contextmanager
def _ruleset(offered: Offer, allowed: AllowedPaths) -> Iterator[Ruleset | None]:
    if not offered.landlock_abi:
        yield None
        return
    ruleset = Ruleset(offered.landlock_abi, allowed)
    try:
        yield ruleset
    finally:
        ruleset.close()


def _namespaces(offered: Offer) -> Step:
    """Return the step that removes network and capabilities, and limits open files and threads."""
    unshare = privileges.unshare(offered.namespaces) if offered.namespaces else None
    drop = privileges.drop_capabilities()
    files = min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    # without a user namespace the kernel counts all processes of the user, so others could exhaust the limit
    threads = _THREADS + _THREADS_PER_CORE * (os.cpu_count() or 1) if offered.namespaces & CLONE_NEWUSER else None

    def step() -> None:
        with suppress(OSError):
            if unshare:
                unshare()
                if threads:
                    resource.setrlimit(resource.RLIMIT_NPROC, (threads, threads))
        drop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return step


def _optional(part: Step) -> Step:
    def step() -> None:
        with suppress(OSError):
            part()

    return step
