"""Reads the header Retry-After of another server's answer."""

import email.utils
import time
from datetime import UTC

_CHARACTERS = 100


def retry_after(value: str, now: float | None = None) -> float:
    """Return the seconds of a Retry-After header, a number or a date; 0 if it is not valid.

    `now`: seconds since 1970, for a date.
    """
    value = value[:_CHARACTERS]
    if value.strip().isdecimal() and len(value) < 10:
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        # each form of an HTTP date is UTC, also one without a zone or with -0000, which is parsed without a zone
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, seconds - (time.time() if now is None else now))
