"""Task types that misbehave in ways that `echo` does not; installed for the systems under trial by `install_processors`."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import BinaryIO

from dtqs import Context, Payload, processor


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
    """Swallow everything that is to interrupt it."""
    Path(payload.marker).touch()
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


class ShapePayload(Payload):
    shape: str


@processor("shape", payload=ShapePayload, light=True)
def shape(payload: ShapePayload, context: Context) -> object:
    """Return what cannot be stored."""
    shapes = {"set": {1, 2}, "nul": {"text": "a\0b"}, "surrogate": "\ud800", "integer": 1 << 70, "huge": "x" * (64 << 20), "words": {"a": "ü\\u0000"}}
    return shapes[payload.shape]


class EffectPayload(Payload):
    on_ambiguous: str
    seconds: float


@processor("effect", payload=EffectPayload)
def effect(payload: EffectPayload, context: Context) -> None:
    """Say that an effect begins, and take time over it in the first attempt."""
    context.effect_begins(payload.on_ambiguous)
    if context.attempt == 1:
        time.sleep(payload.seconds)


class NoPayload(Payload):
    pass


@processor("once", payload=NoPayload, retry_on_timeout=False)
def once(payload: NoPayload, context: Context) -> None:
    """Take long, and be worth no second attempt."""
    time.sleep(1000)


class HoardPayload(Payload):
    seconds: float


@processor("hoard", payload=HoardPayload)
def hoard(payload: HoardPayload, context: Context) -> None:
    """Fill a folder, store a file, and take long over the next one in the first attempt."""

    def write(file: BinaryIO) -> None:
        file.write(b"x" * 1000)
        file.flush()
        if context.attempt == 1:
            time.sleep(payload.seconds)

    (context.work_dir() / "film").write_bytes(b"x" * 1000)
    context.add_output("whole", lambda file: file.write(b"y" * 1000), "text/plain")
    context.add_output("half", write, "text/plain")
