"""Whether a submit's body can become tasks: here at once where it is small, in the process beside the API where it is large."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import falcon
import orjson

from dtqs.api.http.strict import decode
from dtqs.api.submit.aside import Aside
from dtqs.api.submit.ceilings import SubmitLimits
from dtqs.api.submit.intake import Examined, Intake, each_once
from dtqs.api.submit.turns import Turns

INLINE_BYTES, INLINE_BEYOND_ASCII_BYTES = 32 << 10, 8 << 10
"""A larger body takes so long at its worst that other requests would notice. Domains beyond ASCII are the dearest thing known: 5 ms for each KB."""
LIMIT_SECONDS = 6.0
"""Most bodies of 4 MB take 0.1 s, mails to 100,000 addresses 2 s. It is less than the patience of those that wait behind one that never ends."""
WAITING_BYTES = 64 << 20


@dataclass(slots=True)
class SubmittedBody:
    """A body as it came; `hashed`: its value's hash is wanted too. Not frozen, like the next one: three of them a submit cost 1.2 µs more."""

    body: bytes
    key_id: str | None
    hashed: bool


@dataclass(slots=True)
class Judged:
    """The contents of a body. `many`: an array."""

    examined: Examined
    many: bool
    body_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class _NotJson:
    """The body is no JSON; falcon's error cannot go from process to process."""

    description: str


class Examiner(Protocol):
    """One question of Submit."""

    def judge(self, submitted: SubmittedBody) -> Judged: ...


class Inline:
    """Examines here and now."""

    def __init__(self, intake: Intake, limits: SubmitLimits) -> None:
        self._intake, self._limits = intake, limits

    def judge(self, submitted: SubmittedBody) -> Judged:
        """Raises Invalid with what is wrong, HTTPBadRequest."""
        value, problems = decode(submitted.body)
        beyond = self._limits.problems(value)
        found = each_once(problems, beyond) if problems and beyond else problems or beyond
        examined = self._intake.examine(value, found, submitted.key_id)
        return Judged(examined, isinstance(value, list), _hash(value) if submitted.hashed else b"")


class Elsewhere:
    """Examines large bodies in a process of their own: neither JSON nor pydantic lets others run while it works."""

    def __init__(self, inline: Inline, patience_seconds: float) -> None:
        self._inline = inline
        self._aside: Aside[SubmittedBody, Judged | _NotJson] = Aside(
            self._work, Turns(patience_seconds, WAITING_BYTES), LIMIT_SECONDS
        )

    def start(self) -> None:
        """Fork the process; before anything is opened."""
        self._aside.start()

    def stop(self) -> None:
        self._aside.stop()

    def judge(self, submitted: SubmittedBody) -> Judged:
        """Raises as Inline, and ExaminerBusy."""
        if _is_small(submitted.body):
            return self._inline.judge(submitted)
        judged = self._aside.ask(submitted, submitted.key_id, len(submitted.body))
        if isinstance(judged, _NotJson):
            raise falcon.HTTPBadRequest(description=judged.description)
        return judged

    def _work(self, submitted: SubmittedBody) -> Judged | _NotJson:
        try:
            return self._inline.judge(submitted)
        except falcon.HTTPBadRequest as error:
            return _NotJson(error.description or "")


def _is_small(body: bytes) -> bool:
    return len(body) <= (INLINE_BYTES if body.isascii() and b"\\u" not in body else INLINE_BEYOND_ASCII_BYTES)


def _hash(value: Any) -> bytes:
    """Return the hash of a body's value: space and the order of keys do not make another submit."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()
