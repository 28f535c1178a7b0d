"""Processor, the base class of a task type, and Context, its way to reach the worker.

Both know files and the kernel, never the store or the broker.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dtqs.config import Section
from dtqs.errors import PermanentError, Problem, ValueRefused
from dtqs.files import FileSpace
from dtqs.files.uri import ALLOWED, check, upload_id
from dtqs.jail import Jail
from dtqs.json_value import LOG_LIMIT, json_text
from dtqs.processors import checks
from dtqs.processors.attempt_ended import AttemptEnded
from dtqs.processors.settings import NoSettings as NoSettings
from dtqs.processors.settings import ProcessorSettings as ProcessorSettings
from dtqs.task import Effect, OutputFile
from dtqs.turn import Turn

Json = Any
"""A value that orjson can write: None, bool, int, float, str, list, dict with str keys."""


class Payload(BaseModel):
    """The base of payload models: unknown fields are errors, wrong types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Source = Annotated[
    str,
    AfterValidator(check),
    Field(description=f"URI of the input: {ALLOWED}", json_schema_extra={"x-dtqs-source": True}),
]
"""The type of a payload's field that names an input."""


P = TypeVar("P", bound=BaseModel)
S = TypeVar("S", bound=Section)


class Reporter(Protocol):
    """The receiver of a context's reports. The worker writes them through the task's lease.

    Each method may raise LeaseLost or StoreUnavailable.
    """

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None: ...
    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None: ...
    def take(self, turns: Sequence[Turn]) -> None: ...
    def effect_begins(self, task_id: str, effect: Effect) -> None: ...


Permit = Callable[[str, str, str], None]
"""A check that a task may open an upload: task id, URI, file id. Raises InputRefused, StoreUnavailable."""


class Processor(Generic[P, S]):
    """Base class for one task type. One instance serves all attempts of a worker process, one at a time."""

    name: ClassVar[str]
    """The task type: lower-case letters, digits, `_` and `-`."""
    payload_model: ClassVar[type[BaseModel]]
    settings_model: ClassVar[type[Section]] = NoSettings
    """The keys of `[processor:NAME]`."""
    light: ClassVar[bool] = False
    """Short and without an outside effect: may share a hint, a claim and a finish with other tasks."""
    max_retries: int | None = None
    """None: `[retry] max_retries`."""
    yields_to_retry: ClassVar[bool] = False
    """`max_retries` of this class holds only while `[retry] max_retries` has its default."""
    timeout_seconds: float | None = None
    """None: `[retry] timeout_seconds`."""
    retry_on_timeout: bool = True
    examples: ClassVar[Sequence[Json]] = ()
    """Payloads for the OpenAPI document."""

    def __init__(self, settings: S) -> None:
        self.settings = settings
        if isinstance(settings, ProcessorSettings):
            self.max_retries = self.max_retries if settings.max_retries is None else settings.max_retries
            self.timeout_seconds = (
                self.timeout_seconds if settings.timeout_seconds is None else settings.timeout_seconds
            )

    def is_light(self, payload: P) -> bool:
        """Tell whether this payload is light. Called once, at submit."""
        return self.light

    def problems(self, payload: P) -> Sequence[Problem]:
        """Return every reason why the settings forbid a payload that its model allows. Called at submit.

        Fields are named as in `outputs[0].width`.
        """
        return ()

    def problems_beside(self, payload: Json) -> Sequence[Problem]:
        """Return further problems of a raw payload that its model refuses, judging only its well-formed fields.

        The client thus gets all problems in one answer.
        """
        return ()

    def sources(self, payload: P) -> Sequence[str]:
        """Return the URIs in the payload. At submit, each `upload:` URI must exist and belong to the caller."""
        return ()

    def run(self, payload: P, context: "Context") -> Json:
        """Do the work and return the result. Raise TransientError (retried) or PermanentError (failed at once)."""
        raise NotImplementedError

    def close(self) -> None:
        """Release, within a second or two, everything kept for further attempts.

        Called when a worker process that ran an attempt ends in order.
        """

    def kept_pids(self) -> Collection[int]:
        """Return the child processes kept for the next attempts. All others are killed when an attempt ends."""
        return ()


class Context:
    """The worker, as an attempt sees it. After the end of the attempt, each method raises LeaseLost."""

    __slots__ = (
        "_attempt",
        "_effect",
        "_ended",
        "_files",
        "_known_result",
        "_outputs",
        "_permit",
        "_reporter",
        "_task_id",
        "_work_dir",
    )

    def __init__(
        self, task_id: str, attempt: int, reporter: Reporter, files: FileSpace, permit: Permit | None = None
    ) -> None:
        self._task_id, self._attempt = task_id, attempt
        self._effect: Effect | None = None
        self._ended = False
        self._known_result: str | None = None
        self._reporter, self._files, self._permit = reporter, files, permit
        self._outputs: list[OutputFile] = []
        self._work_dir: tempfile.TemporaryDirectory[str] | None = None

    @property
    def task_id(self) -> str:
        return self._task_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt

    @property
    def effect(self) -> Effect | None:
        """The mark that `effect_begins` set."""
        return self._effect

    @property
    def known_result(self) -> str | None:
        """The result that `effect_happened` reported, as JSON text."""
        return self._known_result

    def progress(self, fraction: float, message: str = "") -> None:
        """Report how much is done, from 0 to 1. Raises ValueRefused.

        Each report is written and streamed at once and costs a millisecond, so report steps, not bytes.
        """
        self._check_open()
        text = checks.message("progress", message, checks.PROGRESS_MESSAGE_LIMIT)
        self._reporter.progress(self._task_id, self._attempt, checks.fraction(fraction), text)

    def log(self, message: str, *, level: str = "info", **data: Json) -> None:
        """Write a row to the task's log; level is debug, info, warning or error. Raises ValueRefused for bad data."""
        self._check_open()
        text, level = checks.message("log", message), checks.level(level)
        if data:
            json_text("the log's data", data, LOG_LIMIT)
        self._reporter.log(self._task_id, self._attempt, level, text, data or None)

    def open_input(self, uri: str) -> BinaryIO:
        """Open a source for reading, as a file on disk. Raises InputRefused or FilesUnavailable."""
        self._check_open()
        if self._permit is not None and (file_id := upload_id(uri)):
            self._permit(self._task_id, uri, file_id)
        return self._files.open_input(uri)

    def work_dir(self) -> Path:
        """Return a private folder, which is removed at the end of the attempt."""
        self._check_open()
        if self._work_dir is None:
            self._work_dir = self._files.temporary_dir(self._task_id)
        return Path(self._work_dir.name)

    @property
    def jail(self) -> Jail:
        """The isolation, by `[files] jail`, of programs that read hostile files."""
        return Jail(self._files.jail)

    def add_output(self, name: str, write: Callable[[BinaryIO], object], media_type: str) -> dict[str, Json]:
        """Store one output by calling `write` with an open file. Return name, uri, media_type, size_bytes and sha256.

        The file is durable on return. It becomes visible when the task is completed.
        Raises ValueRefused, or FilesUnavailable when the disk is full.
        """
        self._check_open()
        name, media_type = checks.output_name(name), checks.media_type(media_type)
        checks.writer(write)
        output = self._files.add_output(name, write, media_type)
        self._outputs.append(output)
        return {
            "name": name,
            "uri": f"upload:{output.file_id}",
            "media_type": media_type,
            "size_bytes": output.size_bytes,
            "sha256": output.sha256,
        }

    def take(self, key: str, per_second: float, burst: int = 1) -> None:
        """Take one of the `per_second` turns a second that all workers share under this key.

        After a pause, up to `burst` turns are available at once. With no turn free, this raises Postponed: let it pass.
        The task then starts again from its beginning when a turn is free.
        So take turns before expensive work, and before `effect_begins()`.
        """
        self.take_all([Turn(key, per_second, burst)])

    def take_all(self, turns: Sequence[Turn]) -> None:
        """Take one turn of each limit, or no turn at all if one limit has none free. Equal turns count once."""
        self._check_open()
        wanted = checks.turns(turns)
        for key, count in Counter(turn.key for turn in wanted).items():
            if count > 1:
                raise PermanentError(
                    f"the rate limit {key} is given twice, with different rates or bursts; "
                    "allowed: one rate and burst per key"
                )
        if wanted:
            self._reporter.take(wanted)

    def effect_begins(self, on_ambiguous: Effect | str = Effect.FAIL) -> None:
        """Mark the start of an effect that must not happen twice (SMTP's DATA, an SMS request). Call it just before.

        After this, a return or an error of `run` itself settles the task as usual. Anything else, such as a death or a
        stop, settles it by `on_ambiguous`. Not for light tasks.
        """
        self._check_open()
        if on_ambiguous not in list(Effect):
            raise ValueRefused(f"effect_begins: on_ambiguous = {on_ambiguous!a:.100}; allowed are {', '.join(Effect)}")
        effect = Effect(on_ambiguous)
        self._reporter.effect_begins(self._task_id, effect)
        self._effect = effect

    def effect_happened(self, result: dict[str, Json]) -> None:
        """Report at once that the effect has happened, with the result as far as it is known.

        From here on a stop or an error in `run` completes the task with this result. If the worker dies, the task fails
        because the effect must not happen twice. Exception: PostgreSQL was down, and the lease still holds the mark of
        `effect_begins`. Raises PermanentError if the result cannot be stored.
        """
        self._check_open()
        self._known_result = json_text("the result", result)
        if self._effect is not Effect.FAIL:
            self.effect_begins(Effect.FAIL)

    @property
    def outputs(self) -> tuple[OutputFile, ...]:
        return tuple(self._outputs)

    def end(self) -> None:
        """Refuse all further calls: a thread that goes on after the attempt must not report into the next one."""
        self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise AttemptEnded(self._task_id, self._attempt)

    def discard(self) -> None:
        """Remove the stored outputs of a failed attempt. Objects in a bucket are left to the keeper's slower sweep."""
        outputs, self._outputs = self._outputs, []
        for output in () if self._files.over_network else outputs:
            self._files.remove(output.file_id)

    def close(self) -> None:
        """Remove the private folder. The worker calls it when the attempt has ended."""
        if self._work_dir is not None:
            self._work_dir.cleanup()
            self._work_dir = None
