"""Reads the header Retry-After of another server's answer."""

import email.utils
import time

_CHARACTERS = 100


def retry_after(value: str, now: float | None = None) -> float:
    """Return the seconds of a Retry-After header, a number or a date; 0 if it is not valid.

    `now`: seconds since 1970, for a date.
    """
    value = value[:_CHARACTERS]
    if value.strip().isdecimal() and len(value) < 10:
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, date - (time.time() if now is None else now))
