"""Many tasks as arrays, each in a request of its own. An array that is too large for the API goes in halves."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from dtqs.client.errors import ApiRefusal
from dtqs.client.submit_keys import part_key

ARRAY_LIMIT = 1000
"""Most tasks of one request."""


def submit_arrays(post: Callable[[bytes, str], Any], bodies: Sequence[object], key: str) -> list[Any]:
    """Submit tasks by `post` and return their receipts in the same order.

    Each array has an idempotency key by its first task, so a repetition of the whole finds the same arrays.
    """
    # all of them before the first request: a value that is no JSON must not leave a part behind
    texts = [json.dumps(body, allow_nan=False).encode() for body in bodies]
    starts = range(0, len(texts), ARRAY_LIMIT)
    parts = [range(start, min(start + ARRAY_LIMIT, len(texts))) for start in reversed(starts)]
    receipts: list[Any] = []
    while parts:
        part = parts.pop()
        array = b"[%s]" % b", ".join(texts[part.start : part.stop])
        try:
            receipts += post(array, part_key(key, part.start))
        except ApiRefusal as error:
            if error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or len(part) == 1:
                raise
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return receipts
