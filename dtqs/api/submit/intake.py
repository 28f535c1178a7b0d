"""From JSON to tasks that may be stored: envelope, payload, and sources that must be there or may be fetched; the faults of a request at once.

`examine` only computes, also in the process beside the API's (examine.py); `complete` asks PostgreSQL for what it has found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from dtqs.api.access.auth import Caller
from dtqs.api.submit.bound import LoopBound
from dtqs.api.submit.envelope import TaskBody, field_name, parse, valid_parts
from dtqs.errors import Invalid, NotFound, Problem
from dtqs.files.uri import upload_id
from dtqs.id_run import new_ids
from dtqs.processors.catalog import Catalog
from dtqs.processors.faults import PROBLEMS_LIMIT
from dtqs.processors.sources import missing_upload, needed_uploads, places
from dtqs.store.file_rows import FileRows, Named
from dtqs.task import NewTask

LIGHT_CHARACTERS = 64 << 10
"""A task with a longer payload is heavy: a worker holds a batch of light ones, their results and the statement that writes them at the same time."""
UPLOADS_LIMIT = 2000
"""Uploads that one submit may name: each is looked for, and goes from process to process."""
_NAMED_AT_ONCE = 1000


@dataclass(slots=True)
class UploadSource:
    """An upload: URI of a payload, and the field that has it."""

    uri: str
    field: str
    named: Named


@dataclass(slots=True)
class Examined:
    """The tasks of a submit, the uploads that must be there, and what is wrong so far. Not frozen: each submit makes one."""

    tasks: list[NewTask]
    uploads: list[UploadSource]
    problems: list[Problem]


class Intake:
    """Validates submits. `refusal` says of a source why it would not be opened; `max_retries` is for types that set none."""

    def __init__(
        self, catalog: Catalog, files: FileRows, refusal: Callable[[str], str | None], max_retries: int
    ) -> None:
        self._catalog, self._files, self._refusal, self._max_retries = catalog, files, refusal, max_retries

    def tasks(self, value: Any, found: Sequence[Problem], caller: Caller) -> list[NewTask]:
        """Examine and complete a submit. Raises Invalid, StoreUnavailable."""
        return self.complete(self.examine(value, found, caller.key_id), caller.owner)

    def examine(
        self, value: Any, found: Sequence[Problem], key_id: str | None, bound: LoopBound | None = None
    ) -> Examined:
        """Judge a submit, one task or an array, as far as its text tells; `found` is known to be wrong already.

        Raises Invalid where there can be no tasks, TooDear above the bound. It stops after PROBLEMS_LIMIT problems:
        naming them all costs more than the body itself.
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
                if bound is not None:
                    bound.pause()
                tasks.append(self._task(body, ids[index], key_id, uploads, index if many else None, bound))
            except (Invalid, NotFound) as error:
                problems += _placed(index if many else None, error)
                if len(problems) > PROBLEMS_LIMIT:
                    break
            if len(uploads) > UPLOADS_LIMIT:
                raise Invalid(each_once(found, problems, [_TOO_MANY_UPLOADS]))
        return Examined(tasks, uploads, each_once(found, problems) if found else problems)

    def complete(self, examined: Examined, owner: str | None) -> list[NewTask]:
        """Return the tasks if nothing is wrong and all uploads are there. Raises Invalid with everything that is wrong, StoreUnavailable."""
        missing = self._missing(examined.uploads, owner) if examined.uploads else []
        if examined.problems or missing:
            raise Invalid(each_once(examined.problems, missing))
        return examined.tasks

    def needed(self, task_type: str, payload: Any) -> dict[str, Problem]:
        """Return the uploads that a retry of a stored task needs, each with the problem to report if it is gone."""
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
        text = orjson.dumps(body.payload).decode()
        if bound is not None:
            bound.look_at(text)
        processor, payload = self._catalog.validate(body.task_type, body.payload)
        if sources := processor.sources(payload):
            self._look_at(sources, body, uploads, index)
        retries = processor.max_retries if body.max_retries is None else body.max_retries
        return NewTask(
            task_id, body.task_type, len(text) <= LIGHT_CHARACTERS and processor.is_light(payload), text, body.priority,
            self._max_retries if retries is None else retries, body.timeout_seconds, body.delay_seconds or 0.0, body.due_at,
            tuple(body.tags or ()), key_id,
        )  # fmt: skip

    def _look_at(self, sources: Sequence[str], body: TaskBody, uploads: list[UploadSource], index: int | None) -> None:
        """Note the uploads. Raises Invalid for other sources that would not be opened."""
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

    def _missing(self, uploads: Sequence[UploadSource], owner: str | None) -> list[Problem]:
        """Name the sources that are not there, or somebody else's, up to PROBLEMS_LIMIT + 1; the others are kept until their tasks are due."""
        missing: list[Problem] = []
        for start in range(0, len(uploads), _NAMED_AT_ONCE):
            some = uploads[start : start + _NAMED_AT_ONCE]
            found = self._files.name([each.named for each in some], owner)
            gone = (each for each in some if each.named.file_id not in found)
            missing += [
                Problem(each.field, missing_upload(each.uri))
                for each in islice(gone, PROBLEMS_LIMIT + 1 - len(missing))
            ]
            if len(missing) > PROBLEMS_LIMIT:
                break
        return missing

    def _payload_problems(self, value: Any, known: int, bound: LoopBound | None) -> list[Problem]:
        """Tell what is wrong with payloads, where the envelope is wrong already in `known` fields."""
        problems: list[Problem] = []
        for index, task_type, payload in valid_parts(value):
            if known + len(problems) > PROBLEMS_LIMIT:
                break
            if bound is not None:
                bound.pause()
                bound.look_at(orjson.dumps(payload).decode())
            try:
                self._catalog.validate(task_type, payload)
            except (Invalid, NotFound) as error:
                problems += _placed(index, error)
        return problems


_TOO_MANY_UPLOADS = Problem("body", f"names more than {UPLOADS_LIMIT} uploads; submit fewer tasks at a time")


def each_once(*found: Sequence[Problem]) -> list[Problem]:
    """Put together what several looks have found; of a field only what the first look that minds it says: later ones see but what that left of it."""
    problems: list[Problem] = []
    for look in found:
        named = {problem.field for problem in problems}
        problems += [problem for problem in look if problem.field not in named]
    return problems


def _placed(index: int | None, error: Invalid | NotFound) -> list[Problem]:
    """Put a payload's problems, or an unknown task type, in their place in the request."""
    if isinstance(error, NotFound):
        return [Problem(field_name(index, "task_type"), str(error))]
    return [Problem(field_name(index, problem.field), problem.message) for problem in error.problems]
