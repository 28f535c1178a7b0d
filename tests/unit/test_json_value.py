"""JSON that may be stored: accepted values, refused values with their messages, and rows beyond the limits."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
import pytest

from dtqs.errors import ValueRefused
from dtqs.json_value import DEPTH_LIMIT, dumps, is_carried, json_text, loads

NAN = float("nan")


def nested(levels: int, innermost: Any = 1) -> Any:
    value = innermost
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


class Colour(Enum):
    RED = "red"
    NONE = NAN


@dataclass
class Point:
    x: float
    y: float | None = None


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, -0.0, 1e16, 5e-324, 1.7976931348623157e308, (1 << 64) - 1, -(1 << 63)]},
        "null",
        [None] * 400,
        nested(250),
    ],
)
def test_a_valid_value_is_kept_unchanged(value: Any) -> None:
    assert json.loads(json_text("it", value)) == value
    assert json_text("it", -0.0) == "-0.0"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"scores": [1.0, NAN]},
            "the result.scores[1] is nan, which JSON does not have; allowed: finite numbers and null",
        ),
        ([None, float("-inf")], "the result[1] is -inf, which"),
        (Point(1.0, NAN), "the result.y is nan"),
        ({"a": Colour.NONE}, "the result.a is nan"),
        ((1, {"b": (NAN,)}), "the result[1].b[0] is nan"),
        ({"a": {"b\0": 1}}, "a key of the result.a contains a NUL character"),
        (["a\0"], "the result[0] contains a NUL character"),
        (1 << 64, "the result is not JSON: Integer exceeds 64-bit range"),
        ("\ud800", "the result is not JSON: "),
        ({1: 2}, "the result is not JSON: Dict key must be str"),
        (nested(251), f"the result is nested too deep; at most {DEPTH_LIMIT} levels are allowed"),
        (nested(100_000, 1), "nested too deep"),
    ],
)
def test_an_invalid_value_is_refused_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(ValueRefused, match=re.escape(words)):
        json_text("the result", value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueRefused, match="nested too deep"):
        json_text("the result", value)


def test_a_value_beyond_its_size_is_refused() -> None:
    with pytest.raises(ValueRefused, match="the data has 602 characters of JSON; at most 601 are allowed"):
        json_text("the data", "x" * 600, 601)


@pytest.mark.parametrize("value", [nested(252), {"tasks": [{"result": nested(600)}]}])
def test_a_stored_value_that_is_nested_too_deep_is_still_written_out(value: Any) -> None:
    assert json.loads(dumps(value)) == json.loads(dumps(value, orjson.OPT_INDENT_2)) == value


def test_another_value_that_is_no_json_raises_a_type_error() -> None:
    with pytest.raises(TypeError):
        dumps(object())


def test_a_value_too_deep_to_read_is_shown_as_unreadable() -> None:
    assert "cannot be read" in loads("[" * 5000 + "]" * 5000)["unreadable"]


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "-0.0",
        "1e16",
        "0.10000000000000001",
        "0.10000000000000000555",
        "0.30000000000000004",
        "5e-324",
        "5.960464477539063e-08",
        "1.5e300",
        "0e-999",
    ],
)
def test_a_decimal_that_a_float_keeps_is_accepted(text: str) -> None:
    assert is_carried(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.1234567890123456789",
        "9007199254740993.0",
        "123456789012345678e1",
        "1e-400",
        "1.2345e-320",
        "1e400",
        "0." + "1" * 5000,
        "12345678901234567.89",
    ],
)
def test_a_decimal_that_a_float_would_change_is_refused(text: str) -> None:
    assert not is_carried(text)
