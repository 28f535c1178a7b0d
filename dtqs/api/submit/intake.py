"""Turns JSON into tasks that may be stored: it checks envelopes, payloads and sources, and reports all faults at once.

`examine` only computes, so it also runs in the process beside the API (examine.py). `complete` asks PostgreSQL for the
uploads that `examine` has found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson
from pydantic import BaseModel

from dtqs.api.submit.bound import LoopBound
from dtqs.api.submit.envelope import TaskBody, field_name, parse, valid_parts
from dtqs.errors import Invalid, NotFound, Problem
from dtqs.files.uri import upload_id
from dtqs.id_run import new_ids
from dtqs.processors.base import Processor
from dtqs.processors.catalog import Catalog
from dtqs.processors.faults import PROBLEMS_LIMIT
from dtqs.processors.sources import missing_upload, needed_uploads, places
from dtqs.store.file_rows import FileRows, Named
from dtqs.task import NewTask

LIGHT_CHARACTERS = 64 << 10
"""A task with a longer payload is heavy. A worker holds a batch of light tasks, their results and the statement that
writes them at the same time."""
UPLOADS_LIMIT = 2000
"""Most uploads of one submit. Each is looked up, and pickled between processes."""
_NAMED_AT_ONCE = 1000


@dataclass(slots=True)
class UploadSource:
    """An upload that a payload names, and the field that names it."""

    uri: str
    field: str
    named: Named


@dataclass(slots=True)
class Examined:
    """The tasks of a submit, the uploads that must exist, and the problems so far. Not frozen: see examine.py."""

    tasks: list[NewTask]
    uploads: list[UploadSource]
    problems: list[Problem]
    sums: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of the uploads that exist, by their ids; known after `complete`."""


class Intake:
    """Validates submits.

    `refusal` returns the reason why a source may not be opened, or None. `max_retries` is for types that set none.
    """

    def __init__(
        self, catalog: Catalog, files: FileRows, refusal: Callable[[str], str | None], max_retries: int
    ) -> None:
        self._catalog, self._files, self._refusal, self._max_retries = catalog, files, refusal, max_retries

    def examine(
        self, value: Any, found: Sequence[Problem], key_id: str | None, bound: LoopBound | None = None
    ) -> Examined:
        """Check a submit, one task or an array, without PostgreSQL. `found` are problems that are already known.

        Raises Invalid if there can be no tasks, TooDear above the bound. It stops after PROBLEMS_LIMIT problems: naming
        them all would cost more than reading the body.
        """
        many = isinstance(value, list)
        try:
            bodies = parse(value)
        except Invalid as error:
            raise Invalid(
                each_once(found, error.problems, self._payload_problems(value, len(error.problems), bound))
            ) from None
        problems: list[Problem] = []
        uploads: list[UploadSource] = []
        ids = new_ids(len(bodies))
        tasks = []
        for index, body in enumerate(bodies):
            try:
                tasks.append(self._task(body, ids[index], key_id, uploads, index if many else None, bound))
            except (Invalid, NotFound) as error:
                problems += _placed(index if many else None, error)
                if len(problems) > PROBLEMS_LIMIT:
                    break
            if len(uploads) > UPLOADS_LIMIT:
                raise Invalid(each_once(found, problems, [_TOO_MANY_UPLOADS]))
        return Examined(tasks, uploads, each_once(found, problems) if found else problems)

    def complete(self, examined: Examined, owner: str | None) -> list[NewTask]:
        """Return the tasks if all uploads exist. Raises Invalid with all problems, StoreUnavailable."""
        missing = self._missing(examined, owner) if examined.uploads else []
        if examined.problems or missing:
            raise Invalid(each_once(examined.problems, missing))
        return examined.tasks

    def needed(self, task_type: str, payload: Any) -> dict[str, Problem]:
        """Return the uploads that a retry needs, each with the problem to report if it is gone."""
        return needed_uploads(self._catalog, task_type, payload)

    def _task(
        self,
        body: TaskBody,
        task_id: str,
        key_id: str | None,
        uploads: list[UploadSource],
        index: int | None,
        bound: LoopBound | None,
    ) -> NewTask:
        text, processor, payload = self._check(body.task_type, body.payload, bound)
        if sources := processor.sources(payload):
            self._note_sources(sources, body, uploads, index)
        retries = processor.max_retries if body.max_retries is None else body.max_retries
        return NewTask(
            task_id, body.task_type, len(text) <= LIGHT_CHARACTERS and processor.is_light(payload), text, body.priority,
            self._max_retries if retries is None else retries, body.timeout_seconds, body.delay_seconds or 0.0,
            body.due_at, tuple(body.tags or ()), key_id,
        )  # fmt: skip

    def _check(
        self, task_type: str, payload: Any, bound: LoopBound | None
    ) -> tuple[str, Processor[Any, Any], BaseModel]:
        """Return a payload's JSON, its processor and its validated form. Raises Invalid, NotFound, TooDear.

        All payloads come here, also those in a faulty envelope.
        """
        text = orjson.dumps(payload).decode()
        if bound is not None:
            bound.pause()
            bound.look_at(text)
        return text, *self._catalog.validate(task_type, payload, text)

    def _note_sources(
        self, sources: Sequence[str], body: TaskBody, uploads: list[UploadSource], index: int | None
    ) -> None:
        """Note the uploads. Raises Invalid for other sources that may not be opened."""
        problems: list[Problem] = []
        fields = places(body.payload, set(sources))
        for uri in sources:
            place = fields.get(uri, "payload")
            if file_id := upload_id(uri):
                uploads.append(
                    UploadSource(uri, field_name(index, place), Named(file_id, body.due_at, body.delay_seconds or 0.0))
                )
            elif len(problems) <= PROBLEMS_LIMIT and (refusal := self._refusal(uri)):
                problems.append(Problem(place, refusal))
        if problems:
            raise Invalid(problems)

    def _missing(self, examined: Examined, owner: str | None) -> list[Problem]:
        """Name the uploads that do not exist or belong to another key, up to PROBLEMS_LIMIT + 1.

        The others are kept until their tasks are due.
        """
        missing: list[Problem] = []
        uploads = examined.uploads
        for start in range(0, len(uploads), _NAMED_AT_ONCE):
            some = uploads[start : start + _NAMED_AT_ONCE]
            found = self._files.name([each.named for each in some], owner)
            examined.sums |= found
            gone = (each for each in some if each.named.file_id not in found)
            missing += [
                Problem(each.field, missing_upload(each.uri))
                for each in islice(gone, PROBLEMS_LIMIT + 1 - len(missing))
            ]
            if len(missing) > PROBLEMS_LIMIT:
                break
        return missing

    def _payload_problems(self, value: Any, known: int, bound: LoopBound | None) -> list[Problem]:
        """Return the problems of payloads after an envelope was found wrong in `known` fields."""
        problems: list[Problem] = []
        for index, task_type, payload in valid_parts(value):
            if known + len(problems) > PROBLEMS_LIMIT:
                break
            try:
                self._check(task_type, payload, bound)
            except (Invalid, NotFound) as error:
                problems += _placed(index, error)
        return problems


_TOO_MANY_UPLOADS = Problem("body", f"names more than {UPLOADS_LIMIT} uploads; submit fewer tasks at a time")


def each_once(*found: Sequence[Problem]) -> list[Problem]:
    """Join the problems of several checks. Only the first failed check of a field is reported."""
    problems: list[Problem] = []
    for check in found:
        named = {problem.field for problem in problems}
        problems += [problem for problem in check if problem.field not in named]
    return problems


def _placed(index: int | None, error: Invalid | NotFound) -> list[Problem]:
    """Return the problems of a payload or an unknown task type, with their fields in the request."""
    if isinstance(error, NotFound):
        return [Problem(field_name(index, "task_type"), str(error))]
    return [Problem(field_name(index, problem.field), problem.message) for problem in error.problems]
