"""From JSON to tasks that may be stored: envelope, payload, and sources that must be there or may be fetched; every fault of a request at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from dtqs.api.auth import Caller
from dtqs.api.envelope import TaskBody, field_name, parse, valid_parts
from dtqs.api.ids import new_ids
from dtqs.api.strict import shown
from dtqs.errors import Invalid, NotFound, Problem
from dtqs.files.uri import upload_id
from dtqs.processors.catalog import Catalog
from dtqs.store.file_rows import FileRows, Named
from dtqs.task import NewTask

LIGHT_CHARACTERS = 64 << 10
"""A task with a longer payload is heavy: a worker holds a batch of light ones, their results and the statement that writes them at the same time."""


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload: URI of a payload, and the field that has it."""

    uri: str
    field: str
    named: Named


class Intake:
    """Validates submits. `refusal` says of a source why it would not be opened; `max_retries` is for types that set none."""

    def __init__(self, catalog: Catalog, files: FileRows, refusal: Callable[[str], str | None], max_retries: int) -> None:
        self._catalog, self._files, self._refusal, self._max_retries = catalog, files, refusal, max_retries

    def tasks(self, value: Any, found: Sequence[Problem], caller: Caller) -> list[NewTask]:
        """Return the tasks of a submit, one or an array. Raises Invalid with everything that is wrong, `found` already or here, StoreUnavailable."""
        many = isinstance(value, list)
        try:
            bodies = parse(value)
        except Invalid as error:
            raise Invalid(_each_once(found, error.problems, self._payload_problems(value))) from None
        problems: list[Problem] = []
        uploads: list[_Upload] = []
        ids = new_ids(len(bodies))
        tasks = []
        for index, body in enumerate(bodies):
            try:
                tasks.append(self._task(body, ids[index], caller, uploads, index if many else None))
            except (Invalid, NotFound) as error:
                problems += _placed(index if many else None, error)
        if uploads:
            problems += self._missing(uploads, caller)
        if found or problems:
            raise Invalid(_each_once(found, problems))
        return tasks

    def needed(self, task_type: str, payload: Any) -> dict[str, Problem]:
        """Return the uploads that a task of an earlier submit names, each with what to say when it is gone; none of a payload that is no longer valid."""
        try:
            processor, valid = self._catalog.validate(task_type, payload)
        except (Invalid, NotFound):
            return {}
        named = {file_id: uri for uri in processor.sources(valid) if (file_id := upload_id(uri))}
        return {file_id: Problem(_place_of("payload", payload, uri), f"{_gone(uri)} and submit a new task") for file_id, uri in named.items()}

    def _task(self, body: TaskBody, task_id: str, caller: Caller, uploads: list[_Upload], index: int | None) -> NewTask:
        processor, payload = self._catalog.validate(body.task_type, body.payload)
        if sources := processor.sources(payload):
            self._look_at(sources, body, uploads, index)
        retries = processor.max_retries if body.max_retries is None else body.max_retries
        text = orjson.dumps(body.payload).decode()
        return NewTask(
            task_id, body.task_type, len(text) <= LIGHT_CHARACTERS and processor.is_light(payload), text, body.priority,
            self._max_retries if retries is None else retries, body.timeout_seconds, body.delay_seconds or 0.0, body.due_at,
            tuple(body.tags or ()), caller.key_id,
        )  # fmt: skip

    def _look_at(self, sources: Sequence[str], body: TaskBody, uploads: list[_Upload], index: int | None) -> None:
        """Note the uploads. Raises Invalid for other sources that would not be opened."""
        problems = []
        for uri in sources:
            place = _place_of("payload", body.payload, uri)
            if file_id := upload_id(uri):
                uploads.append(_Upload(uri, field_name(index, place), Named(file_id, body.due_at, body.delay_seconds or 0.0)))
            elif refusal := self._refusal(uri):
                problems.append(Problem(place, refusal))
        if problems:
            raise Invalid(problems)

    def _missing(self, uploads: Sequence[_Upload], caller: Caller) -> list[Problem]:
        """Name the sources that are not there, or somebody else's; the others are kept until their tasks are due."""
        found = self._files.name([each.named for each in uploads], caller.owner)
        return [Problem(each.field, _gone(each.uri)) for each in uploads if each.named.file_id not in found]

    def _payload_problems(self, value: Any) -> list[Problem]:
        """What is wrong with payloads, where the envelope is wrong already."""
        problems: list[Problem] = []
        for index, task_type, payload in valid_parts(value):
            try:
                self._catalog.validate(task_type, payload)
            except (Invalid, NotFound) as error:
                problems += _placed(index, error)
        return problems


def _gone(uri: str) -> str:
    return f"there is no file {uri}; upload it first (POST /files)"


def _each_once(*found: Sequence[Problem]) -> list[Problem]:
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


def _place_of(where: str, value: Any, uri: str) -> str:
    """Return where in a payload a source is named; the payload itself where it is not there literally."""
    return _search(where, value, uri) or where


def _search(where: str, value: Any, uri: str) -> str | None:
    if isinstance(value, dict):
        return next((found for name, member in value.items() if (found := _search(f"{where}.{shown(name)}", member, uri))), None)
    if isinstance(value, list):
        return next((found for index, member in enumerate(value) if (found := _search(f"{where}[{index}]", member, uri))), None)
    return where if value == uri else None
