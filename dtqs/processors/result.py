"""What an attempt may have as its result: JSON text that PostgreSQL can store."""

import orjson

from dtqs.errors import PermanentError

RESULT_LIMIT_BYTES = 16 << 20


def result_text(result: object) -> str:
    """Return the result as JSON text. Raises PermanentError where it is none, or cannot be stored."""
    try:
        text = orjson.dumps(result).decode()
    except TypeError as error:
        raise PermanentError(f"the result is not JSON: {error}") from error
    if len(text) > RESULT_LIMIT_BYTES:
        raise PermanentError(f"the result is {len(text)} characters of JSON, {RESULT_LIMIT_BYTES} are allowed; store what is large as an output")
    if "\\u0000" in text and _has_nul(orjson.loads(text)):
        raise PermanentError("the result holds text with a NUL character, which cannot be stored")
    return text


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)
