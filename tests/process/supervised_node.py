"""A supervisor in its own process with small children.

Tests run `python -m tests.process.supervised_node SCENARIO FOLDER SETTINGS`.
Every child appends its reports to FOLDER/reports, one JSON object a line.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from dtqs import log
from dtqs.config import PoolSection, SupervisorSection
from dtqs.own_program import ADOPT
from dtqs.scoreboard import ChildState
from dtqs.supervisor import ChildSpec, ChildStart, NodeLock, Supervisor
from dtqs.supervisor.again import CHECK
from dtqs.supervisor.handover import Handover, refuse_unmet
from dtqs.supervisor.vitals import About
from dtqs.uuid7 import uuid7

FOLDER = Path()
TASK_ID = "01929f3a-0000-7000-8000-000000000001"


def report(start: ChildStart, event: str, **fields: object) -> None:
    line = json.dumps({"child": start.spec_name, "pid": os.getpid(), "event": event} | fields)
    with open(FOLDER / "reports", "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def nap() -> None:
    signal.sigtimedwait((), 0.02)


class Requests:
    """The requests that a child received through the signals of a worker."""

    def __init__(self) -> None:
        self.drain = self.stop = False
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.drain |= number == signal.SIGTERM
        self.stop |= number == signal.SIGINT


def steady(start: ChildStart) -> int:
    """Obey every request: settle deaths, become ready, end when asked."""
    requests = Requests()
    start.slot.worker(uuid7())
    report(
        start,
        "settled",
        deaths=[asdict(death) for death in start.deaths],
        node_id=start.node_id,
        boot_id=start.boot_id,
        parent_alive=start.parent_alive(),
    )
    start.slot.settled_deaths()
    start.slot.heartbeat()
    start.slot.state(ChildState.READY)
    report(start, "ready")
    while not (requests.drain or requests.stop):
        start.slot.beat()
        nap()
    report(start, "stopped" if requests.stop else "drained")
    return os.EX_OK


def busy(start: ChildStart) -> int:
    """Obey only a stop: the task takes longer than any drain."""
    requests = Requests()
    start.slot.worker(uuid7())
    report(start, "settled", deaths=[asdict(death) for death in start.deaths])
    start.slot.settled_deaths()
    if start.deaths:
        # the replacement of a killed child only settles
        return os.EX_OK
    start.slot.state(ChildState.READY)
    start.slot.run(TASK_ID)
    report(start, "ready")
    turns_since_drain = 0
    while not requests.stop:
        start.slot.beat()
        nap()
        turns_since_drain += requests.drain
        if event := {1: "drain asked", 50: "long after"}.get(turns_since_drain):
            report(start, event)
    report(start, "stopped")
    return os.EX_OK


def stubborn(start: ChildStart) -> int:
    """Ignore every signal but SIGKILL, except as a replacement with deaths to settle."""
    if start.deaths:
        return steady(start)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    start.slot.worker(uuid7())
    start.slot.run(TASK_ID)
    grandchild = subprocess.Popen(["sleep", "1000"])
    start.slot.state(ChildState.READY)
    report(start, "ready", grandchild=grandchild.pid)
    while True:
        start.slot.beat()
        nap()


def overdue(start: ChildStart) -> int:
    """Run a task beyond its hard limit, with one more process in the group. Replacements are steady."""
    if start.deaths:
        return steady(start)
    start.slot.worker(uuid7())
    start.slot.run(TASK_ID)
    grandchild = subprocess.Popen(["sleep", "1000"])
    start.slot.state(ChildState.READY)
    start.slot.kill_at(time.monotonic() + 0.2)
    report(start, "ready", grandchild=grandchild.pid)
    while True:
        start.slot.beat()
        nap()


def silent(start: ChildStart) -> int:
    """Stop beating after the start. Replacements are steady."""
    if start.deaths:
        return steady(start)
    start.slot.worker(uuid7())
    start.slot.state(ChildState.READY)
    report(start, "ready")
    while True:
        signal.pause()


def never_ready(start: ChildStart) -> int:
    report(start, "begun")
    while True:
        signal.pause()


def misconfigured(start: ChildStart) -> int:
    return os.EX_CONFIG


def dies_at_once(start: ChildStart) -> int:
    report(start, "begun", at=time.monotonic(), deaths=len(start.deaths))
    start.slot.worker(uuid7())
    return 3


def explains(start: ChildStart) -> int:
    """End before it is ready, and give the reason."""
    start.last_words("the moon is in the wrong house")
    return os.EX_TEMPFAIL


def waits(start: ChildStart) -> int:
    """Wait for PostgreSQL for longer than a start may take."""
    start.slot.worker(uuid7())
    start.slot.state(ChildState.WAITING)
    report(start, "waits")
    while True:
        start.slot.beat()
        nap()


def ready_once(start: ChildStart) -> int:
    """Become ready and die; later children die before they are ready."""
    if (FOLDER / "was ready").exists():
        report(start, "died")
        raise ZeroDivisionError("from a child that cannot begin")
    (FOLDER / "was ready").touch()
    start.slot.state(ChildState.READY)
    report(start, "ready")
    signal.sigtimedwait((), 0.5)
    return 3


def raises(start: ChildStart) -> int:
    report(start, "begun")
    raise ZeroDivisionError("from a child")


def raises_later(start: ChildStart) -> int:
    """Become ready, and fail when the file `go` is there."""
    start.slot.state(ChildState.READY)
    while not (FOLDER / "go").exists():
        start.slot.beat()
        nap()
    raise ZeroDivisionError("from a child")


def exits_in_task(start: ChildStart) -> int:
    """Die with status 0 inside a task, as code that calls exit() does. Replacements are steady."""
    if start.deaths:
        return steady(start)
    start.slot.worker(uuid7())
    start.slot.run(TASK_ID)
    os._exit(0)


def dies_of_tasks(start: ChildStart) -> int:
    """Settle, become ready, wait `wait_seconds`, and die of a task. With the file `healed`, finish a task first."""
    start.slot.worker(uuid7())
    report(start, "settled", deaths=len(start.deaths))
    start.slot.settled_deaths()
    start.slot.state(ChildState.READY)
    report(start, "waits", wait_seconds=start.wait_seconds)
    signal.sigtimedwait((), start.wait_seconds)
    if (FOLDER / "healed").exists():
        start.slot.worked()
        report(start, "worked")
    start.slot.run(TASK_ID)
    os.kill(os.getpid(), signal.SIGKILL)
    return os.EX_SOFTWARE


def never_settles(start: ChildStart) -> int:
    """Die with a task; replacements never settle."""
    Requests()
    start.slot.worker(uuid7())
    report(start, "begun", deaths=[asdict(death) for death in start.deaths])
    start.slot.run(TASK_ID)
    start.slot.state(ChildState.READY)
    while True:
        start.slot.beat()
        nap()


def parent_of_many(start: ChildStart) -> int:
    """Start a child in the own process group and one in a session of its own."""
    if not start.deaths:
        near = subprocess.Popen(["sleep", "1000"])
        far = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        report(start, "family", near=near.pid, far=far.pid)
    return steady(start)


def looks_around(start: ChildStart) -> int:
    """Report the state of the process after the fork."""
    handlers = {
        number.name: str(signal.getsignal(number))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGUSR1)
    }
    open_files = {
        name: os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}")
    }
    facts = {
        "handlers": handlers,
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "files": open_files,
        "random": random.random(),
    }
    report(
        start,
        "seen",
        leads=os.getpgid(0) == os.getpid(),
        wakeup=signal.set_wakeup_fd(-1),
        notify="NOTIFY_SOCKET" in os.environ,
        **facts,
    )
    return steady(start)


def main() -> int:
    global FOLDER
    scenario, FOLDER, settings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    option, value = (*sys.argv[4:], "", "")[:2]
    handover = Handover.take(int(value)) if option == ADOPT else None
    if handover and (FOLDER / "helper").exists():
        # as an import of a module of processors may do
        (FOLDER / "helper").write_text(str(subprocess.Popen(["sleep", "1000"]).pid))
    while handover and (FOLDER / "slow").exists():
        nap()
    # a test writes the next configuration here
    if (FOLDER / "next").exists():
        scenario = (FOLDER / "next").read_text()
    if scenario == "refused":
        print("[pool:default] workers = many: a whole number\nand more", file=sys.stderr)
        return os.EX_CONFIG
    # below the configuration's limits, so that tests are quick
    section = SupervisorSection.model_construct(
        **{**SupervisorSection(state_dir=FOLDER / "state").model_dump(), **settings}
    )
    log.set_up("debug", "text", "supervisor", FOLDER / "own log" if (FOLDER / "own log").exists() else None)
    mains: dict[str, Callable[[ChildStart], int]] = {
        name: value for name, value in globals().items() if callable(value)
    }
    if scenario == "lost" and handover:
        lost = Supervisor(handover.old_section(), (), handover.node_lock(), handover=handover)
        return lost.run(doomed="the processors are gone")
    specs = [ChildSpec("keeper", "dtqs: keeper", steady)]
    for number, name in enumerate(scenario.removeprefix("lost").split("+")):
        specs.append(ChildSpec(f"default/{number}", f"dtqs: worker default/{number}", mains.get(name, steady)))
    if option == CHECK:
        refuse_unmet(value, len(specs))
        return os.EX_OK
    lock = handover.node_lock() if handover else NodeLock(section.state_dir)

    def hire(pool: str, number: int) -> ChildSpec:
        return ChildSpec(f"{pool}/{number}", f"dtqs: worker {pool}/{number}", steady)

    # a pool that scales itself; without a keeper that counts due tasks only operators resize it
    pools = {"default": PoolSection(min=1, max=3)} if (FOLDER / "scales").exists() else None
    about = About(config=str(FOLDER / "dtqs.ini"))
    return Supervisor(section, specs, lock, hire, handover, about, pools).run()


if __name__ == "__main__":
    sys.exit(main())
