"""Many tasks as arrays: cut by number, and by bytes if the API says so."""

import json
import math
from typing import Any

import pytest

from dtqs.client import ApiRefusal
from dtqs.client.arrays import submit_arrays


class Api:
    """Takes bodies of at most `most_bytes`. `taken` has each array under its idempotency key."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.taken: dict[str, list[int]] = {}

    def __call__(self, body: bytes, key: str) -> Any:
        if len(body) > self.most_bytes:
            raise ApiRefusal("too large", 413)
        assert self.taken.setdefault(key, json.loads(body)) == json.loads(body), "a key has one body"
        return json.loads(body)


def test_an_array_that_is_too_large_goes_in_parts_that_a_repetition_finds_again() -> None:
    api, tasks = Api(2000), list(range(2500))
    assert submit_arrays(api, tasks, "k") == tasks
    assert len(api.taken) == 2 * 4 + 2
    assert {"k", "k-1000", "k-2000", "k-2250"} < set(api.taken)
    assert [each for array in api.taken.values() for each in array] == tasks
    before = dict(api.taken)
    assert submit_arrays(api, tasks, "k") == tasks
    assert api.taken == before


def test_a_task_that_is_too_large_alone_is_refused() -> None:
    with pytest.raises(ApiRefusal, match="too large"):
        submit_arrays(Api(5), ["x" * 10, "y"], "k")


def test_another_refusal_is_no_reason_to_cut() -> None:
    def refuse(body: bytes, key: str) -> Any:
        bodies.append(body)
        raise ApiRefusal("wrong", 422)

    bodies: list[bytes] = []
    with pytest.raises(ApiRefusal, match="wrong"):
        submit_arrays(refuse, [1, 2], "k")
    assert bodies == [b"[1, 2]"]


def test_a_value_that_is_no_json_leaves_no_part_behind() -> None:
    api = Api(10**6)
    with pytest.raises(ValueError, match="not JSON compliant"):
        submit_arrays(api, [*range(1500), math.nan], "k")
    assert api.taken == {}
