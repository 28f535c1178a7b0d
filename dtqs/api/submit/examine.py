"""Examines the body of a submit: a small one in the API process, a large one in the process beside it.

Both run the same code, `Inline`.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import falcon
import orjson

from dtqs.api.http.strict import TooDear, decode
from dtqs.api.submit.aside import Aside
from dtqs.api.submit.bound import SLOW_BYTES, LoopBound, is_dear
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.intake import Examined, Intake, each_once
from dtqs.api.submit.turns import Turns
from dtqs.api.submit.unnamed import UnnamedBody, without_names
from dtqs.errors import Problem
from dtqs.json_value import dumps, loads

INLINE_BYTES = 20 << 10
"""Largest body that the API process examines. JSON and envelopes hold its loop: 500 tasks with due times, the costliest
known body of this size, take 4.6 ms. bound.py limits their payloads."""
LIMIT_SECONDS = 6.0
"""Most bodies of 4 MB take 0.1 s, e-mails to 100,000 addresses 2 s. It must be shorter than the patience of requests
that wait behind an endless examination."""
WAITING_BYTES = 64 << 20


@dataclass(slots=True)
class SubmittedBody:
    """A body as it came. With `hashed`, the hash of its value is wanted too.

    This class and the next are not frozen: three frozen objects a submit cost 1.2 µs more.
    """

    body: bytes
    key_id: str | None
    hashed: bool


@dataclass(slots=True)
class Judged:
    """The contents of a body. `many` is set for an array."""

    examined: Examined
    many: bool
    body_hash: bytes = b""
    unnamed: UnnamedBody | None = None
    """With `hashed`, for a body that names uploads."""


@dataclass(frozen=True, slots=True)
class _StoredPayload:
    """The payload of an accepted task, as JSON."""

    task_type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class _NotJson:
    """The body is not valid JSON. Falcon's error cannot be pickled."""

    description: str


class Inline:
    """Examines in the calling process."""

    def __init__(self, intake: Intake, limits: SubmitLimits) -> None:
        self._intake, self._limits = intake, limits

    def judge(self, submitted: SubmittedBody, bound: LoopBound | None = None) -> Judged:
        """Return the contents of a body. Raises Invalid, HTTPBadRequest; TooDear above the bound of the API's loop."""
        value, problems = decode(submitted.body, None if bound is None else SLOW_BYTES)
        beyond = self._limits.problems(value)
        found = each_once(problems, beyond) if problems and beyond else problems or beyond
        examined = self._intake.examine(value, found, submitted.key_id, bound)
        if not submitted.hashed:
            return Judged(examined, isinstance(value, list))
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)  # spaces and the order of keys do not matter
        unnamed = without_names(text, {each.uri for each in examined.uploads}) if examined.uploads else None
        return Judged(examined, isinstance(value, list), hashlib.sha256(text).digest(), unnamed)

    def needed(self, task_type: str, payload: Any) -> dict[str, Problem]:
        """Return the uploads that a retry needs, each with the problem to report if it is gone."""
        return self._intake.needed(task_type, payload)


class Examiner:
    """Examines large or costly bodies in a process of their own: JSON and pydantic hold the loop while they work."""

    def __init__(self, inline: Inline, patience_seconds: float) -> None:
        self._inline = inline
        self._aside: Aside[SubmittedBody | _StoredPayload, Any] = Aside(
            self._work, Turns(patience_seconds, WAITING_BYTES), LIMIT_SECONDS
        )

    def start(self) -> None:
        """Fork the process, before anything is opened."""
        self._aside.start()

    def stop(self) -> None:
        self._aside.stop()

    def judge(self, submitted: SubmittedBody) -> Judged:
        """Return the contents of a body. Raises Invalid, HTTPBadRequest, ExaminerBusy."""
        if len(submitted.body) <= INLINE_BYTES:
            with suppress(TooDear):
                return self._inline.judge(submitted, LoopBound())
        judged: Judged | _NotJson = self._aside.ask(submitted, submitted.key_id, len(submitted.body))
        if isinstance(judged, _NotJson):
            raise falcon.HTTPBadRequest(description=judged.description)
        return judged

    def needed(self, task_type: str, payload: Any, key_id: str | None) -> dict[str, Problem]:
        """Return the uploads that a retry needs, each with the problem to report if it is gone. Raises ExaminerBusy."""
        text = dumps(payload)
        if len(text) <= INLINE_BYTES and not is_dear(text.decode()):
            # a large part of a stored record is text, which no processor knows
            return self._inline.needed(task_type, loads(text))
        found: dict[str, Problem] = self._aside.ask(_StoredPayload(task_type, text), key_id, len(text))
        return found

    def _work(self, asked: SubmittedBody | _StoredPayload) -> Judged | _NotJson | dict[str, Problem]:
        if isinstance(asked, _StoredPayload):
            return self._inline.needed(asked.task_type, loads(asked.payload))
        try:
            return self._inline.judge(asked)
        except falcon.HTTPBadRequest as error:
            return _NotJson(error.description or "")
