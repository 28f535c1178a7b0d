"""Task types that misbehave in ways that `echo` does not; `install_processors` installs them for systems on trial."""

import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dtqs import Context, Payload, TransientError, processor
from dtqs.errors import Postponed
from dtqs.event import LogRef
from dtqs.store.leases import Leases
from dtqs.task import Claimed


class NapPayload(Payload):
    seconds: float = 0.0
    kill: bool = False


@processor("nap", payload=NapPayload, light=True)
def nap(payload: NapPayload, context: Context) -> dict[str, int]:
    """Claim to be light, and take long or kill the worker."""
    if payload.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(payload.seconds)
    return {"attempt": context.attempt}


class BombPayload(Payload):
    kill: bool = False


@processor("bomb", payload=BombPayload, light=True)
def bomb(payload: BombPayload, context: Context) -> None:
    """Kill the worker as soon as it has claimed the task, as a payload does that takes all memory."""


_claim = Leases.claim


def _claim_bombs(
    self: Leases,
    worker_id: str,
    lease_id: str,
    task_ids: Sequence[str],
    waits: bool = True,
    task_type: str | None = None,
) -> tuple[list[Claimed], list[LogRef]]:
    found = _claim(self, worker_id, lease_id, task_ids, waits, task_type)
    if any(task.task_type == "bomb" and "true" in task.payload for task in found[0]):
        os.kill(os.getpid(), signal.SIGKILL)
    return found


Leases.claim = _claim_bombs  # type: ignore[method-assign]


class FamilyPayload(Payload):
    pid_file: str


@processor("family", payload=FamilyPayload, max_retries=1)
def family(payload: FamilyPayload, context: Context) -> None:
    """Start a process in the worker's group and one in a session of its own, and wait for them."""
    near = subprocess.Popen(["sleep", "1000"])
    far = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True)
    Path(payload.pid_file).write_text(f"{near.pid} {far.pid}", encoding="utf-8")
    near.wait()


class StubbornPayload(Payload):
    marker: str


@processor("stubborn", payload=StubbornPayload, max_retries=0)
def stubborn(payload: StubbornPayload, context: Context) -> None:
    """Swallow every interrupt."""
    Path(payload.marker).touch()
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


@processor("locked", payload=StubbornPayload, max_retries=0)
def locked(payload: StubbornPayload, context: Context) -> None:
    """Stay in C code that has released Python's lock, and starts again after a signal."""
    mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    Path(payload.marker).touch()
    libc.pthread_mutex_lock(mutex)


@processor("stubborn_once", payload=StubbornPayload, retry_on_timeout=False)
def stubborn_once(payload: StubbornPayload, context: Context) -> None:
    """Swallow every interrupt, and want no retry after a time limit."""
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


class ShapePayload(Payload):
    shape: str


@processor("shape", payload=ShapePayload, light=True)
def shape(payload: ShapePayload, context: Context) -> object:
    """Return a value that the store cannot keep."""
    shapes = {
        "set": {1, 2},
        "nul": {"text": "a\0b"},
        "surrogate": "\ud800",
        "integer": 1 << 70,
        "huge": "x" * (64 << 20),
        "words": {"a": "ü\\u0000"},
    }
    return shapes[payload.shape]


class OddPayload(Payload):
    what: str


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class _Mute(Exception):
    def __str__(self) -> str:
        time.sleep(1000)
        return ""


class _Patient(TransientError):
    retry_after_seconds = "5"  # type: ignore[assignment]

    def __init__(self) -> None:
        Exception.__init__(self, "patient")


class _Never(Postponed):
    def __init__(self) -> None:
        Exception.__init__(self, "never")
        self.delay_seconds = -5


@processor("odd", payload=OddPayload, max_retries=0, timeout_seconds=1)
def odd(payload: OddPayload, context: Context) -> object:
    """Give the context an unusable value, or raise an unusable error."""

    def write(file: BinaryIO) -> None:
        file.write(b"x")

    def fail(error: BaseException) -> None:
        raise error

    acts: dict[str, Callable[[], object]] = {
        "path": lambda: context.add_output(Path("a"), write, "text/plain"),  # type: ignore[arg-type]
        "bytes": lambda: context.add_output("\udc80.png", write, "image/png"),
        "media": lambda: context.add_output("a", write, "text/plain\r\nX: y"),
        "nan": lambda: {"score": float("nan")},
        "progress": lambda: context.progress(float("nan")),
        "level": lambda: context.log("a", level="loud"),
        "data": lambda: context.log("a", data={1, 2}),
        "turn": lambda: context.take("a", float("nan")),
        "retry_after": lambda: fail(TransientError("a", retry_after_seconds="5")),  # type: ignore[arg-type]
        "patient": lambda: fail(_Patient()),
        "postponed": lambda: fail(Postponed(-5, "a")),
        "never": lambda: fail(_Never()),
        "unspeakable": lambda: fail(_Unspeakable()),
        "mute": lambda: fail(_Mute()),
        "exit": lambda: fail(SystemExit(3)),
        "invalid": lambda: OddPayload.model_validate({}),
    }
    return acts[payload.what]()


class MarksPayload(Payload):
    leave: bool = False


@processor("marks", payload=MarksPayload, max_retries=0, timeout_seconds=0.5)
def marks(payload: MarksPayload, context: Context) -> None:
    """Change the process's signals in ways that break a worker, or run into the time limit."""
    if payload.leave:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGRTMIN + 6, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        os.chdir("/")
        return
    time.sleep(60)


class EffectPayload(Payload):
    on_ambiguous: str
    seconds: float


@processor("effect", payload=EffectPayload)
def effect(payload: EffectPayload, context: Context) -> None:
    """Report that an effect begins, and take long over it in the first attempt."""
    context.effect_begins(payload.on_ambiguous)
    if context.attempt == 1:
        time.sleep(payload.seconds)


class NoPayload(Payload):
    pass


@processor("once", payload=NoPayload, retry_on_timeout=False)
def once(payload: NoPayload, context: Context) -> None:
    """Take long, and allow no second attempt after the time limit."""
    time.sleep(1000)


class HoardPayload(Payload):
    seconds: float


@processor("hoard", payload=HoardPayload)
def hoard(payload: HoardPayload, context: Context) -> None:
    """Fill a folder, store a file, and take long over the next file in the first attempt."""

    def write(file: BinaryIO) -> None:
        file.write(b"x" * 1000)
        file.flush()
        if context.attempt == 1:
            time.sleep(payload.seconds)

    (context.work_dir() / "film").write_bytes(b"x" * 1000)
    context.add_output("whole", lambda file: file.write(b"y" * 1000), "text/plain")
    context.add_output("half", write, "text/plain")


class GrowPayload(Payload):
    mebibytes: int
    seconds: float = 0.0


_grown: list[bytearray] = []


@processor("grow", payload=GrowPayload)
def grow(payload: GrowPayload, context: Context) -> None:
    """Use memory that the worker keeps, and take time."""
    block = bytearray(payload.mebibytes << 20)
    block[::4096] = b"x" * (len(block) // 4096)  # each page is written
    _grown.append(block)
    time.sleep(payload.seconds)


class HoldsPayload(Payload):
    seconds: int


@processor("holds", payload=HoldsPayload, max_retries=1)
def holds(payload: HoldsPayload, context: Context) -> None:
    """Call C code that keeps the interpreter lock: no other thread of the worker runs meanwhile."""
    ctypes.PyDLL(None).sleep(payload.seconds)


class TicksPayload(Payload):
    file: str
    how: str


@processor("ticks", payload=TicksPayload, max_retries=0)
def ticks(payload: TicksPayload, context: Context) -> None:
    """Write to a file without end, here and in a process of its own. The second run ends at once."""
    place = Path(payload.file)
    if place.exists():
        return
    place.touch()
    subprocess.Popen(["sh", "-c", 'while sleep 0.05; do echo >>"$0"; done', place], start_new_session=True)
    if payload.how == "holds":
        ctypes.PyDLL(None).sleep(60)
    while True:
        try:
            time.sleep(0.05)
            place.touch()
        except BaseException:
            if payload.how == "obeys":
                raise


class LeaksPayload(Payload):
    marker: str
    seconds: float = 0.0


@processor("leaks", payload=LeaksPayload)
def leaks(payload: LeaksPayload, context: Context) -> None:
    """Leave no free descriptor to the worker, and take time. The second run ends at once."""
    place = Path(payload.marker)
    if place.exists():
        return
    place.touch()
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with suppress(OSError):
        while True:
            os.dup(0)
    time.sleep(payload.seconds)


@processor("pools", payload=NoPayload, max_retries=0, timeout_seconds=30)
def pools(payload: NoPayload, context: Context) -> int:
    """Compute in a pool of processes, and leave it while it works."""
    begun, begin = os.pipe()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found: int = pool.apply(abs, (-7,))
        pool.apply_async(_work_long, (begin,))
        os.read(begun, 1)
        return found


def _work_long(begin: int) -> None:
    os.write(begin, b"x")
    time.sleep(60)
