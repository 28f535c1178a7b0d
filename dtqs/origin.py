"""The request that submitted a task: its id, and the trace that it belongs to (W3C Trace Context).

A task keeps both as one text: the id, then the trace's two headers where it has one, with a space between them.
"""

import os
import re
from itertools import count

REQUEST_ID_CHARACTERS = 128
TRACE_STATE_CHARACTERS = 512
_TRACE_STATE_MEMBERS = 32
_REQUEST_ID = re.compile(rf"[\x21-\x7e]{{1,{REQUEST_ID_CHARACTERS}}}")
_VERSION = "00"
_FLAGS_END = 55
"""The length of a traceparent. Its last digit is odd if the trace is sampled."""
_ODD = frozenset("13579bdf")
_TRACE_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.{0,400})?")
_STATE_KEY = r"(?:[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}|[a-z0-9][a-z0-9_*/-]{0,255})"
_STATE_MEMBER = re.compile(_STATE_KEY + r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


class _Maker:
    """Makes ids from random bits of this process and a number. A system call for each id would cost ten times more."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take new random bits. A forked process must do so: its parent continues the numbers."""
        self._prefix, self._next = f"{os.urandom(8).hex()}-", count(1).__next__

    def make(self) -> str:
        return f"{self._prefix}{self._next():x}"


_maker = _Maker()
os.register_at_fork(after_in_child=_maker.renew)


def request_id(given: str | None) -> str:
    """Return the client's id of a request if it is 1 to 128 visible ASCII characters. Otherwise make one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else _maker.make()


def origin(of_request: str, parent: str, state: str | None) -> str:
    """Return the origin of a request with these trace headers. Invalid headers are ignored, as the standard says."""
    found = _TRACE_PARENT.fullmatch(parent)
    if found is None or (found[1] == _VERSION and found[3]):
        return of_request
    # a later version may mean more by the rest of its header
    return f"{of_request} {_VERSION}{found[2]}{_kept_state(state or '')}"


def with_trace(of_request: str, parent: str, state: str | None) -> str:
    """Return the origin of a request whose trace headers are made here."""
    return f"{of_request} {parent}{_kept_state(state or '')}"


def _kept_state(state: str) -> str:
    members = [member.strip(" \t") for member in state[: TRACE_STATE_CHARACTERS + 1].split(",") if member.strip(" \t")]
    is_valid = (
        len(state) <= TRACE_STATE_CHARACTERS
        and 0 < len(members) <= _TRACE_STATE_MEMBERS
        and all(map(_STATE_MEMBER.fullmatch, members))
    )
    return f" {','.join(members)}" if is_valid else ""


def request_id_of(kept: str | None) -> str | None:
    """Return the id of the request in a task's origin."""
    return kept.partition(" ")[0] if kept else None


def is_sampled(kept: str) -> bool:
    """Tell whether the origin has a trace that its parent samples."""
    space = kept.find(" ")
    return space > 0 and kept[space + _FLAGS_END] in _ODD


def trace_of(kept: str | None) -> dict[str, str]:
    """Return the trace headers in a task's origin, by name. They are empty for a task without a trace."""
    _, parent, state = f"{kept or ''}  ".split(" ", 2)
    return {"traceparent": parent, "tracestate": state.strip(" ")} if parent else {}
