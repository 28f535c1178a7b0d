"""Strict JSON: a value that cannot be stored is refused, and the quick checks never hide one."""

import json
import sys
from decimal import Context, Decimal
from typing import Any

import falcon
import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dtqs.api.http.strict import decode
from dtqs.errors import Invalid

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)

DECIMALS = st.builds(
    lambda sign, digits, zeros, at, exponent: f"{sign}{_with_point(zeros + digits, at)}{exponent}",
    st.sampled_from(["", "-"]),
    st.from_regex(r"[1-9][0-9]{0,19}", fullmatch=True) | st.from_regex(r"9[0-9]{14,16}", fullmatch=True),
    st.sampled_from(["", "", "00000"]),
    st.integers(1, 20),
    st.just("") | st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 330)),
)
"""Decimal numbers as JSON writes them, most with about as many digits as a float carries."""


def _with_point(digits: str, at: int) -> str:
    whole, part = digits[:at].lstrip("0") or "0", digits[at:]
    return f"{whole}.{part}" if part else whole


def problems(body: str) -> dict[str, str]:
    return {problem.field: problem.message for problem in decode(body.encode())[1]}


@given(JSON, st.booleans())
def test_valid_json_is_accepted(value: Any, ascii_only: bool) -> None:
    got, wrong = decode(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert wrong == []
    assert got == orjson.loads(orjson.dumps(value))


@given(JSON, TEXT, JSON, JSON)
def test_a_duplicate_key_is_always_found(around: Any, key: str, first: Any, second: Any) -> None:
    name = json.dumps(key)
    body = f'{{"around": {json.dumps(around)}, "in": [{{{name}: {json.dumps(first)}, {name}: {json.dumps(second)}}}]}}'
    assert "the key is there more than once" in problems(body).values()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"a": {"b": [1, "x\\u0000"]}}', "a.b[1]"),
        ('{"a\\u0000": 1}', "a\N{REPLACEMENT CHARACTER}"),
        ('{"a": 18446744073709551616}', "a"),
        ('{"a": -9223372036854775809}', "a"),
        ('[{"a": 1' + "0" * 300 + "}]", "[0].a"),
        ('"\\u0000"', "body"),
        ('{"a": [1, 0.12345678901234567890123]}', "a[1]"),
        ('{"a": 1e-400}', "a"),
        ('{"a": [1, -0]}', "a[1]"),
        ('{"b": 2, "a": -0}', "a"),
        ('{"a": -0 }', "a"),
        ("-0", "body"),
        ('{"a": "0.1234567890123456789", "b": 1.2345e-320}', "b"),
        ('{"\\u0061": 1, "a": 2}', "a"),
        ('{"a": 1, "a": "\\u003a"}', "a"),
        ('{"x\\u003a": {"a": 1, "a": 2}}', "x:.a"),
        ('{"x":9.000000000000001}', "x"),
        ('{"a": 9999999999999.999}', "a"),
        ("[90071992547409.93]", "[0]"),
        ("[9000000000000001e-15]", "[0]"),
    ],
)
def test_a_fault_is_reported_at_its_field(body: str, field: str) -> None:
    assert list(problems(body)) == [field]


@pytest.mark.parametrize(
    "body",
    [
        '{"a": "\\\\u0000"}',
        '{"a": 0.10000000000000000555}',
        '{"a": "0.12345678901234567890123e-999"}',
        '{"a": "12345678901234567890123"}',
        '{"a": "from -0 to", "b": [-0.0, -0e1, -0.5]}',
        '{"a:": "b:c", "d": "\\u003a"}',
    ],
)
def test_text_that_only_resembles_a_fault_is_accepted(body: str) -> None:
    assert problems(body) == {}


def test_a_body_that_is_no_json_is_a_bad_request() -> None:
    for body in (b"", b"{", b"[1,]", b"NaN", b"'a'", b"\xff", b'{"a": Infinity}', b"1 2"):
        with pytest.raises(falcon.HTTPBadRequest):
            decode(body)


def test_the_limit_of_depth_leaves_room_for_the_members_that_answers_add() -> None:
    assert decode(b"[" * 250 + b"]" * 250)[1] == []
    for depth in (251, 1000):
        with pytest.raises(Invalid):
            decode(b"[" * depth + b"]" * depth)


def test_many_faults_are_reported_quickly() -> None:
    body = b"{" + b",".join(b'"a": 1' for _ in range(200_000)) + b"}"
    assert len(decode(body)[1]) == 1
    assert len(decode(b'["\\u0000"' + b',"\\u0000"' * 5000 + b"]")[1]) == 100


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1e16, "b": -0.0}',
        '{"a": 0.30000000000000004}',
        '{"a": 2.5e-300}',
        '{"version": "1.2.3.4.5.6.7.8.9.10.11"}',
    ],
)
def test_numbers_are_kept_as_they_were_sent(body: str) -> None:
    value, wrong = decode(body.encode())
    assert (json.dumps(value), wrong) == (json.dumps(json.loads(body)), [])


@given(DECIMALS)
@example("9.000000000000001")
@example("9000000000000001e-15")
@example("900000000000001.9")
@example("123456789012345e-330")
def test_an_accepted_number_comes_back_with_its_value(text: str) -> None:
    """A text with all digits of a float, also more than it needs, comes back in the short form: it is its value."""
    assume(text != "-0")
    try:
        (value,), wrong = decode(f"[{text}]".encode())
    except falcon.HTTPBadRequest:  # above the largest float
        assume(False)
    sent, shortest = Decimal(text), Decimal(orjson.dumps(value).decode())
    if not isinstance(value, float):
        assert wrong or shortest == sent
        return
    digits = max(1, len(text.lower().partition("e")[0].replace(".", "").strip("-0")))
    is_own = Context(prec=digits).create_decimal_from_float(value) == sent
    assert (shortest == sent or is_own) is not bool(wrong)
    if wrong:
        assert digits > 15 or abs(value) < sys.float_info.min


def test_text_with_many_points_is_no_number() -> None:
    assert decode(b'["1. Title ................................ 1", "1.22.333.4444.55555"]', slow_bytes=0)[1] == []


def test_a_duplicate_key_whose_first_value_is_nested_a_thousand_deep_is_refused() -> None:
    body = b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b', "a": 1}'
    with pytest.raises(Invalid, match="nested more than 250 levels"):
        decode(body)
