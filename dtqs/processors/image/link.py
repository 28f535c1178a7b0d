"""The worker's side of its image process: starts it, sends it a task, takes the outputs, and survives its death."""

import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dtqs.errors import PermanentError, TransientError
from dtqs.jail import Jail
from dtqs.processors import deaths
from dtqs.processors.image import wire
from dtqs.processors.image.payload import ImagePayload
from dtqs.processors.image.settings import ImageSettings
from dtqs.signal_name import signal_name

_START_SECONDS = 30.0
_ANSWER_SPARE_SECONDS = 60.0
_SLOWED_DOWN = 10
"""Factor by which the process may take longer than its processor time on a busy machine."""
_END_SECONDS = 2.0
_MOST_REMARKS, _LONGEST_WORDS = 100, 20_000
_TASKS_PER_PROCESS = 1000
"""A new process frees the memory that libraries leak."""


class OutputFacts(BaseModel):
    """The process's description of an output. It has read hostile bytes, so every field is checked."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    index: int = Field(ge=0)
    media_type: Literal["image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif"]
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    frames: int = Field(ge=1)
    milliseconds: int = Field(ge=0)


class _Source(BaseModel):
    """The process's description of the source."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    media_type: str = Field(max_length=100)
    format: str = Field(max_length=100)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    orientation: int = Field(ge=1, le=8)
    color_mode: str = Field(max_length=20)
    has_profile: bool
    has_alpha: bool
    size_bytes: int = Field(ge=1)
    frames: int = Field(ge=1)


class _Done(BaseModel):
    """The facts of a result, beside the outputs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    source: _Source
    blurhash: str = Field(max_length=100)
    dominant_color: str = Field(pattern=r"^#[0-9a-f]{6}$")


Remark = Annotated[str, Field(max_length=500)]


class _Answer(BaseModel):
    """The final answer on a task: one of `done`, `refused` and `fault`. Each remark becomes a row of the task's log."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    done: _Done | None = None
    remarks: list[Remark] = Field(default=[], max_length=_MOST_REMARKS)
    refused: str | None = Field(default=None, max_length=_LONGEST_WORDS)
    transient: bool = False
    fault: str | None = Field(default=None, max_length=_LONGEST_WORDS)


Store = Callable[[OutputFacts, Iterator[bytes]], None]
"""Stores one output from its bytes."""


class ImageProcess:
    """At most one child, for one task at a time, used from the main thread."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ending: Callable[[], object] = lambda: None
        self._tasks = 0
        self._idle = False

    @property
    def pid(self) -> int | None:
        """The child that waits for the next task; None without a child, or if its state is unknown."""
        return self._child.pid if self._child is not None and self._idle else None

    def run(
        self, payload: ImagePayload, sources: Mapping[str, BinaryIO], store: Store, jail: Jail
    ) -> tuple[dict[str, Any], list[str]]:
        """Run one task in the child; return facts about its source, and remarks. Raises PermanentError, TransientError.

        Any other exception (an interrupt, a full disk) leaves the child inside a task; the next task gets a new one.
        """
        link = self._ready(jail)
        self._idle = False
        try:
            return self._talk(link, payload, sources, store)
        except wire.Gone as error:
            raise self._death(error) from error
        finally:
            if not self._idle:
                self.end()

    def end(self) -> None:
        """Kill the child, if any. Safe to call twice."""
        self._idle, self._child, self._socket = False, None, None
        self._ending()

    def _talk(
        self, link: socket.socket, payload: ImagePayload, sources: Mapping[str, BinaryIO], store: Store
    ) -> tuple[dict[str, Any], list[str]]:
        request = {"payload": payload.model_dump_json(), "sources": list(sources)}
        wire.send(link, request, files=[file.fileno() for file in sources.values()])
        while True:
            value, size_bytes = wire.receive(link)
            try:
                if size_bytes == 0:
                    answer = _Answer.model_validate(value)
                    break
                facts = OutputFacts.model_validate(value)
            except ValidationError as error:
                raise wire.Gone from error
            if size_bytes > self._settings.max_output_bytes:
                raise wire.Gone
            store(facts, wire.chunks(link, size_bytes))
        self._idle = True
        return _result(answer)

    def _ready(self, jail: Jail) -> socket.socket:
        if self._tasks >= _TASKS_PER_PROCESS or not self._idle or self._child is None or self._child.poll() is not None:
            self.end()
        if self._socket is None:
            self._socket = self._start(jail)
        self._tasks += 1
        return self._socket

    def _start(self, jail: Jail) -> socket.socket:
        module = ["-P", "-m", "dtqs.processors.image.decoder"]
        command = [sys.executable, *module, str(os.getpid()), self._settings.model_dump_json(), jail.orders()]
        ours, theirs = socket.socketpair()
        # the child inherits no open file and no environment, which may contain passwords
        environment = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "MALLOC_ARENA_MAX": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with theirs:
            child = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        self._child, self._tasks = child, 0
        self._ending = weakref.finalize(self, _end, child, ours)
        ours.settimeout(_START_SECONDS)
        try:
            wire.receive(ours)
        except wire.Gone as error:
            self.end()
            raise TransientError(
                "the process that decodes images did not start; see the worker's log for the reason"
            ) from error
        ours.settimeout(_SLOWED_DOWN * self._settings.max_cpu_seconds + _ANSWER_SPARE_SECONDS)
        return ours

    def _death(self, error: Exception) -> Exception:
        """Return the error that says why the child is gone or silent."""
        if isinstance(error, wire.Silent) or self._child is None:
            return TransientError("the process that decodes images does not answer")
        try:
            status = self._child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return PermanentError("the image made the process that decodes it send invalid messages")
        if status == -signal.SIGXCPU:
            return PermanentError(
                f"the image takes more than the allowed {self._settings.max_cpu_seconds} s of processor time "
                "(max_cpu_seconds)"
            )
        if deaths.is_from_outside(status):
            return TransientError(f"the process that decoded the image {deaths.outside_cause(status)}")
        name = signal_name(-status) if status < 0 else f"exit status {status}"
        return PermanentError(f"the image crashed the process that decodes it ({name})")


def _result(answer: _Answer) -> tuple[dict[str, Any], list[str]]:
    if answer.fault is not None:
        raise RuntimeError(f"in the process that decodes images:\n{answer.fault}")
    if answer.done is None:
        raise (TransientError if answer.transient else PermanentError)(answer.refused or "refused without a reason")
    return answer.done.model_dump(), answer.remarks


def _end(child: "subprocess.Popen[bytes]", link: socket.socket) -> None:
    link.close()
    child.kill()
    # a child that cannot be killed yet is reaped among the leftovers of the attempt
    with suppress(subprocess.TimeoutExpired):
        child.wait(_END_SECONDS)
