"""Request headers that say how a client wants the answer of a submit: `Accept` and `Prefer`; pure."""

import re

from falcon import mediatypes

EVENT_STREAM = "text/event-stream"
_HEADER_LIMIT = 300
"""Longer headers say nothing: their reading would cost more than a submit."""
_PREFERENCES = re.compile(r'((?:[^",]|"[^"]*")+)(?:,|$)')
_WAIT = re.compile(r'\s*wait\s*=\s*(?:([0-9]{1,9})|"([0-9]{1,9})")\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)
_TYPES = ("application/json", EVENT_STREAM)


def prefers_stream(accept: str) -> bool:
    """Tell whether an `Accept` names event streams, and rates JSON lower. `*/*` does not name them."""
    lower = accept.lower()
    if EVENT_STREAM not in lower or len(lower) > _HEADER_LIMIT:
        return False
    try:
        return mediatypes.best_match(_TYPES, lower) == EVENT_STREAM
    except ValueError:
        return False


def wait_seconds(prefer: str) -> int:
    """Return the seconds of `wait` in a `Prefer`; 0 without a valid one.

    The first `wait` counts, and a malformed one is ignored (RFC 7240, section 2).
    """
    if len(prefer) > _HEADER_LIMIT:
        return 0
    for preference in _PREFERENCES.findall(prefer):
        if found := _WAIT.fullmatch(preference):
            return int(found[1] or found[2])
    return 0
