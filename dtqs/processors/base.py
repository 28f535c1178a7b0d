"""What a processor is, and the Context that its attempt gets. It knows files and the kernel, never the store or the broker."""

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
from dtqs.task import MAX_RETRIES_LIMIT, TIMEOUT_SECONDS_LIMIT, Effect, OutputFile
from dtqs.turn import Turn

Json = Any
"""What orjson can write: None, bool, int, float, str, list, dict with str keys."""


class Payload(BaseModel):
    """The base of payload models: unknown fields are errors, wrong types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Source = Annotated[
    str,
    AfterValidator(check),
    Field(description=f"where the input comes from: {ALLOWED}", json_schema_extra={"x-dtqs-source": True}),
]
"""The type of a payload's field that names an input."""


class ProcessorSettings(Section):
    """The keys that `[processor:NAME]` has for every type; settings models extend it."""

    max_retries: int | None = Field(
        default=None,
        ge=0,
        le=MAX_RETRIES_LIMIT,
        description="retries after the first attempt; left out: the type's own",
    )
    timeout_seconds: float | None = Field(
        default=None,
        ge=0.1,
        le=TIMEOUT_SECONDS_LIMIT,
        description="seconds that an attempt may take; left out: the type's own",
    )


class NoSettings(ProcessorSettings):
    """The settings of a processor that has no keys of its own."""


P = TypeVar("P", bound=BaseModel)
S = TypeVar("S", bound=Section)


class Reporter(Protocol):
    """Where a context's reports go; the worker writes them through the task's lease. Each may raise LeaseLost or StoreUnavailable."""

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None: ...
    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None: ...
    def take(self, turns: Sequence[Turn]) -> None: ...
    def effect_begins(self, task_id: str, effect: Effect) -> None: ...


Permit = Callable[[str, str, str], None]
"""Judges whether a task may open an upload: task id, URI, file id. Raises InputRefused, StoreUnavailable."""


class Processor(Generic[P, S]):
    """Does one task type. One instance serves all attempts of a worker process, one at a time."""

    name: ClassVar[str]
    """The task type: lower-case letters, digits, `_` and `-`."""
    payload_model: ClassVar[type[BaseModel]]
    settings_model: ClassVar[type[Section]] = NoSettings
    """The keys of `[processor:NAME]`."""
    light: ClassVar[bool] = False
    """Short and without an outside effect: may share a hint, a claim and a finish with others."""
    max_retries: int | None = None
    """None: `[retry] max_retries`."""
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
        """Tell whether this very payload is light; asked once, at submit."""
        return self.light

    def problems(self, payload: P) -> Sequence[Problem]:
        """Return what the settings forbid of a payload that its model allows; asked at submit, all at once. Fields as in `outputs[0].width`."""
        return ()

    def problems_beside(self, payload: Json) -> Sequence[Problem]:
        """Return what else is to be said of a payload, as it came, that the model refuses: of the fields that are well formed, so that all is told at once."""
        return ()

    def sources(self, payload: P) -> Sequence[str]:
        """Return the URIs that the payload names; at submit, `upload:` ones must exist and be the caller's."""
        return ()

    def run(self, payload: P, context: "Context") -> Json:
        """Do the work and return the result. Raise TransientError (retried) or PermanentError (failed at once)."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back, within a second or two, what is kept for further attempts; called when a worker process that ran some ends in order."""

    def kept_pids(self) -> Collection[int]:
        """Return the child processes that this processor keeps for its next attempts: what else an attempt leaves behind is killed at its end."""
        return ()


class Context:
    """What an attempt may ask of its worker."""

    __slots__ = (
        "_attempt",
        "_effect",
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
        """The mark that `effect_begins` has set."""
        return self._effect

    @property
    def known_result(self) -> str | None:
        """The result that `effect_happened` has told, as JSON text."""
        return self._known_result

    def progress(self, fraction: float, message: str = "") -> None:
        """Report how much is done, from 0 to 1. Written and streamed at once: a millisecond, so report steps, not bytes. Raises ValueRefused."""
        words = checks.message("progress", message, checks.PROGRESS_MESSAGE_LIMIT)
        self._reporter.progress(self._task_id, self._attempt, checks.fraction(fraction), words)

    def log(self, message: str, *, level: str = "info", **data: Json) -> None:
        """Write a row of the task's log: level is debug, info, warning or error. Raises ValueRefused for data that cannot be kept as it is."""
        words, level = checks.message("log", message), checks.level(level)
        if data:
            json_text("the log's data", data, LOG_LIMIT)
        self._reporter.log(self._task_id, self._attempt, level, words, data or None)

    def open_input(self, uri: str) -> BinaryIO:
        """Open a source for reading, as a file of the disk. Raises InputRefused (no such file, not allowed) or FilesUnavailable."""
        if self._permit is not None and (file_id := upload_id(uri)):
            self._permit(self._task_id, uri, file_id)
        return self._files.open_input(uri)

    def work_dir(self) -> Path:
        """Return a private folder that goes with the attempt."""
        if self._work_dir is None:
            self._work_dir = self._files.temporary_dir(self._task_id)
        return Path(self._work_dir.name)

    @property
    def jail(self) -> Jail:
        """How programs that read hostile files are held here, by `[files] jail`."""
        return Jail(self._files.jail)

    def add_output(self, name: str, write: Callable[[BinaryIO], object], media_type: str) -> dict[str, Json]:
        """Store one output: `write` is called with an open file. Returns `{"name", "uri", "media_type", "size_bytes", "sha256"}`.

        It is durable on return, and becomes visible when the task is completed. Raises ValueRefused, FilesUnavailable when the disk is full.
        """
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
        """Take one of `per_second` turns a second that all workers share under this key, after a pause up to `burst` at once.

        Raises Postponed, which is to be let through, where there is no turn now: the task comes again when there is one, and begins anew.
        So take it before what costs much, and before `effect_begins()`.
        """
        self.take_all([Turn(key, per_second, burst)])

    def take_all(self, turns: Sequence[Turn]) -> None:
        """Take a turn of each of several limits: of all of them, or of none where one has no turn now. Equal ones count once. Else as `take`."""
        wanted = checks.turns(turns)
        for key, count in Counter(turn.key for turn in wanted).items():
            if count > 1:
                raise PermanentError(
                    f"the rate limit {key} is asked for twice, with different rates or bursts; allowed is one of each key"
                )
        if wanted:
            self._reporter.take(wanted)

    def effect_begins(self, on_ambiguous: Effect | str = Effect.FAIL) -> None:
        """Say, just before it, that something begins that must not happen twice: SMTP's DATA, the SMS request.

        From then on only what `run` itself returns or raises settles the task otherwise than `on_ambiguous` says. Not for light tasks.
        """
        if on_ambiguous not in list(Effect):
            raise ValueRefused(f"effect_begins: on_ambiguous = {on_ambiguous!a:.100}; allowed are {', '.join(Effect)}")
        effect = Effect(on_ambiguous)
        self._reporter.effect_begins(self._task_id, effect)
        self._effect = effect

    def effect_happened(self, result: dict[str, Json]) -> None:
        """Say at once that the effect has happened, and what the result is as far as it is known.

        Whatever ends `run` from here on, a stop or an error, completes the task with that result. If the worker dies, the task fails: it must not happen
        twice; unless PostgreSQL was away, and the lease still says what `effect_begins` was told. Raises PermanentError where the result cannot be stored.
        """
        self._known_result = json_text("the result", result)
        if self._effect is not Effect.FAIL:
            self.effect_begins(Effect.FAIL)

    @property
    def outputs(self) -> tuple[OutputFile, ...]:
        return tuple(self._outputs)

    def discard(self) -> None:
        """Remove what was stored, since the attempt has come to nothing; what lies in a bucket is left to the keeper's sweep, which may take its time."""
        outputs, self._outputs = self._outputs, []
        for output in () if self._files.over_network else outputs:
            self._files.remove(output.file_id)

    def close(self) -> None:
        """Remove the private folder; the worker calls it when the attempt has ended."""
        if self._work_dir is not None:
            self._work_dir.cleanup()
            self._work_dir = None
