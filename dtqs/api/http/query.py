"""Parameters of a URL's query. All faults are reported together."""

from collections.abc import Callable, Mapping, Sequence

import falcon

from dtqs.errors import Invalid, NotFound, Problem
from dtqs.json_value import shown_key
from dtqs.uuid7 import is_uuid

TEXT_LIMIT = 100


def refuse_parameters(req: falcon.Request) -> None:
    """Raise Invalid for any parameter, because it would be ignored."""
    if req.query_string:
        Query(req, ()).check()


class Query:
    """Reads the parameters of a request. `check` raises the faults."""

    def __init__(self, req: falcon.Request, known: Sequence[str]) -> None:
        self._values: Mapping[str, str | list[str]] = req.params
        self._problems = [
            Problem(shown_key(name), f"no such parameter; allowed: {', '.join(known) or 'none'}")
            for name in self._values
            if name not in known
        ]

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if isinstance(value, list) or (value is not None and not (0 < len(value) <= TEXT_LIMIT and "\0" not in value)):
            self._wrong(name, f"1 to {TEXT_LIMIT} characters are allowed, once")
            return None
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """Return the values of a required parameter that may be repeated."""
        value = self._values.get(name, [])
        values = value if isinstance(value, list) else [value]
        if not 0 < len(values) <= most:
            self._wrong(name, f"1 to {most} values are allowed, not {len(values)}")
        return values

    def first(self, name: str) -> str:
        """Return the first value of a parameter that its user checks; empty without one."""
        value = self._values.get(name, "")
        return value[0] if isinstance(value, list) else value

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        value = self._values.get(name)
        if value is not None and value not in choices:
            self._wrong(name, f"allowed: {', '.join(choices)}")
        return value if isinstance(value, str) and value in choices else None

    def task_id(self, name: str, allowed: str = "a task's whole id is allowed") -> str | None:
        value = self._values.get(name)
        if value is not None and not (isinstance(value, str) and is_uuid(value)):
            self._wrong(name, allowed)
            return None
        return value

    def cursor(self, name: str, opened: Callable[[str], str | None]) -> str | None:
        """Return the task id in a cursor: a plain id, or one that `opened` unseals."""
        value = self._values.get(name)
        sealed = opened(value) if isinstance(value, str) else None
        return sealed or self.task_id(name, "allowed is the `next` of an earlier page")

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self._values.get(name)
        if value is None:
            return default
        if (
            isinstance(value, str)
            and value.isascii()
            and value.isdigit()
            and len(value) <= 19
            and least <= int(value) <= most
        ):
            return int(value)
        self._wrong(name, f"a whole number from {least} to {most} is allowed")
        return default

    def check(self) -> None:
        """Raise Invalid with all faults."""
        if self._problems:
            raise Invalid(self._problems)

    def _wrong(self, name: str, allowed: str) -> None:
        self._problems.append(Problem(name, allowed))


def checked_id(task_id: str) -> str:
    """Return the id in its canonical form. Raises NotFound for a text that is not a UUID: no task can have it."""
    lower = task_id.lower()
    if not is_uuid(lower):
        raise NotFound("task", task_id[:100])
    return lower
