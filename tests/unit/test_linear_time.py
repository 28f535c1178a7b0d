"""Outside input costs linear time, in every regular expression and in every hand-written parser."""

import ast
import importlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import falcon
import pytest
from falcon.testing import create_environ

import dtqs
from dtqs import masking as secrets
from dtqs.api.access import cookies, origin, sessions, signing
from dtqs.api.files import downloads, uploads
from dtqs.api.http import names, strict
from dtqs.api.stream import position
from dtqs.api.submit import envelope
from dtqs.files import uri
from dtqs.processors.email import addresses, headers, media_type, message
from dtqs.processors.email import payload as email
from dtqs.processors.sms import message as sms_message
from dtqs.processors.sms import numbers, receipts, segments, template
from dtqs.processors.sms import payload as sms
from dtqs.processors.sms.pdu import DeliverSm
from dtqs.processors.video import overlays, playlist, vtt
from dtqs.retry_after import retry_after

SIZE = 4_000
UNMEASURED_SECONDS = 0.006
"""Less than this for four times the size proves nothing and harms nobody; quadratic time takes more."""
MOST_RATIO = 11.0
"""Four times the input: linear time is 4 (up to 8 where the caches overflow), quadratic 16."""


def seconds(work: Callable[[Any], object], text: Any, runs: int = 3) -> float:
    """Return the least processor time of this thread in several runs, so that other processes hardly count."""
    best = float("inf")
    for _ in range(runs):
        began = time.thread_time()
        with suppress(Exception):  # a refusal is an answer
            work(text)
        best = min(best, time.thread_time() - began)
    return best


def check(work: Callable[[Any], object], seed: Any, prefix: Any, end: Any) -> None:
    def of(size: int) -> Any:
        return prefix + (seed * (size // len(seed) + 1))[:size] + end

    for again in (1, 2, 3):
        long = seconds(work, of(4 * SIZE), runs=1 if again == 1 else 3)
        if long < UNMEASURED_SECONDS or long / max(seconds(work, of(SIZE)), 1e-9) < MOST_RATIO:
            return
    pytest.fail(f"more than linear: {4 * SIZE} characters of {seed!r} and {end!r} take {long:.3f} s")


# --- every regular expression, with hostile texts made from its own characters


def expressions() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Yield every expression of the package, and whether it searches.

    Compiled expressions come from the modules, literals from calls of `re`.
    """
    root = Path(dtqs.__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = ".".join(("dtqs", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        source = path.read_text()
        if "re." not in source or "__main__" in name:
            continue
        for variable, value in vars(importlib.import_module(name)).items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, re.Pattern):
                    uses = set(re.findall(rf"\b{variable}\.(\w+)", source))
                    yield f"{name}.{variable}", one, not uses or not uses <= {"match", "fullmatch"}
        for call in ast.walk(ast.parse(source)) if re.search(r"\bre\.(?!compile)", source) else ():
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re"), attr=method), args=[ast.Constant(value=text), *_]
                ) if method != "compile":
                    yield f"{name}:{call.lineno}", re.compile(text), method not in ("match", "fullmatch")


def characters(parsed: Any) -> Iterator[str]:
    """Yield one character for each part of an expression."""
    for operator, value in parsed:
        match str(operator):
            case "LITERAL":
                yield chr(value)
            case "NOT_LITERAL":
                yield "a" if value != ord("a") else "b"
            case "IN":
                yield from characters([one for one in value if str(one[0]) != "NEGATE"][:3])
            case "RANGE":
                yield chr(value[0])
            case "CATEGORY":
                yield {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(value), "a")
            case "BRANCH":
                for branch in value[1]:
                    yield from characters(branch)
            case "SUBPATTERN" | "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                yield from characters(value[-1])
            case "ASSERT" | "ASSERT_NOT":
                yield from characters(value[1])
            case "ATOMIC_GROUP":
                yield from characters(value)


def seeds(pattern: re.Pattern[Any]) -> list[str]:
    """Return texts to repeat: each character of the expression, pairs, and all in their order."""
    parsed = re._parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
    mentioned = list(characters(parsed))
    pairs = ["".join(mentioned[at : at + 2]) for at in range(len(mentioned))]
    wholes = ["".join(mentioned[:end]) for end in (3, 6, 12, len(mentioned))]
    return [seed for seed in dict.fromkeys([*mentioned, *pairs, *wholes, "a", " "]) if seed][:24]


@pytest.mark.parametrize(
    ("pattern", "searches"), [pytest.param(pattern, searches, id=name) for name, pattern, searches in expressions()]
)
def test_no_regular_expression_takes_more_than_linear_time(pattern: re.Pattern[Any], searches: bool) -> None:
    use = (lambda text: sum(1 for _ in pattern.finditer(text))) if searches else pattern.fullmatch
    for seed in seeds(pattern):
        for end in ("", "\x01"):
            hostile, last = (
                (seed.encode("utf-8", "replace"), end.encode()) if isinstance(pattern.pattern, bytes) else (seed, end)
            )
            check(use, hostile, hostile[:0], last)


# --- hand-written parsers


def receipt(text: str) -> object:
    return receipts.receipt_in(DeliverSm(text=text.encode("latin-1", "replace")))


def found_receipts(message_id: str) -> object:
    kept = receipts.Receipts()
    kept.add(sms_message.Receipt(message_id, "DELIVRD", None))
    return kept.of([message_id, f"{message_id}1"])


def opened(token: str) -> None:
    with suppress(signing.TokenForged):
        signing.Signer(b"k", sessions._SESSION, 1).open(token)


def request(**headers: str) -> falcon.Request:
    return falcon.Request(create_environ(headers={name.replace("_", "-"): text for name, text in headers.items()}))


BY_HAND: dict[str, tuple[Callable[[str], object], str, list[str]]] = {
    "mail address": (addresses.parse, "", [" ", "<", "< ", "a <", ".", '"', "\\"]),
    "mail domain": (addresses.ascii_domain, "", ["a", "a.", "ü", "xn--"]),
    "text field": (lambda text: headers.text_field("Subject", text[:4000]), "", ["a ", "é", "=?", " "]),
    "header names": (lambda text: message.header_names(text.encode()), "", ["a", "a\r\n", ":"]),
    "unsubscribe URI": (email._uri, "https://", ["a", " "]),
    "media type": (media_type.parse, "text/plain", ["; name=x", ';name="', " ", ";", "a"]),
    "receipt": (receipt, "", ["id:a ", "id:a", "a", "stat:"]),
    "message id": (found_receipts, "", ["1", "f", "0"]),
    "provider's words": (sms_message.redacted, "", ["1", " ", "\x01"]),
    "Retry-After": (lambda text: retry_after(text, 0.0), "", ["1", "a <", ", ", ":"]),
    "callback URL": (sms.callback_url, "https://", ["a", "@", "[", "ａ"]),
    "SMS text": (sms._text, "", ["a", "\x01"]),
    "segments": (segments.segment, "", ["a", "€", "ü"]),
    "phone number": (numbers.number, "+", ["1", "4"]),
    "sender id": (numbers.sender_id, "", ["a", " ", "1"]),
    "template": (template.names, "", ["${", "$"]),
    "source": (uri.parse, "https://", ["a", "@", "[", ":", "ü", "%"]),
    "redacted source": (uri.redacted, "", ["/", "\\", "&a=", "=", "%25", "a+", ";"]),
    "redirect": (uri.parse_url, "https://", ["a", "/../", "ü.", "?"]),
    "playlist": (playlist.read, "", ["\n", "#EXTINF:1,\n", "a"]),
    "playlist's codecs": (lambda text: playlist.codecs(f"#EXT-X-STREAM-INF:{text}\nv0"), "", ["A", "A=,", 'A="']),
    "WebVTT": (lambda text: vtt.read(text).moved(1.0, 2.0).text(), "WEBVTT\n\n", ["\n", "1\n", "00:00:00.000 --> "]),
    "ASS": (overlays.without_attachments, "", ["[", "\n"]),
    "Content-Disposition": (names.name_of, "attachment; filename", ['="', '="\\', "* = ", "*=UTF-8'", "=\\"]),
    "file name": (names.safe_name, "", ["/", "a", "\u0661"]),
    "disposition": (lambda text: names.disposition(text, "text/plain"), "", ["\\", "ü"]),
    "Range": (downloads._RANGE.fullmatch, "bytes=", ["1", "-"]),
    "Host": (origin._name, "", ["a", ":", "[", "ａ"]),
    "Cookie": (lambda text: cookies.cookie(request(Cookie=text), "dtqs_session"), 'a="', ["\\a", ";", "=", '"']),
    "form": (
        lambda text: list(uploads._form(request(Content_Type=f"multipart/form-data; {text}"), iter(()), 1)),
        "",
        ['boundary="', 'a=";', '";', "\\"],
    ),
    "token": (opened, "", ["a", "_"]),
    "Last-Event-ID": (lambda text: position.decode(text, []), "", ["_", "A"]),
    "due_at": (envelope._due_at, "2030-01-31T12:00:00.", ["1"]),
    "JSON": (lambda text: strict.decode(text.encode()), "", ["[", '{"a":', "[1,", "1"]),
    "JSON text": (lambda text: strict.decode(b'["' + text.encode() + b'"]'), "", ["\\u0061", "\\", "1"]),
    "secrets": (secrets.masked_text, "", ["://a:", "bearer ", "password=", "a"]),
    "secret names": (lambda text: secrets.masked({text: text}), "", ["aA", "pass", "_"]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_no_input_takes_more_than_linear_time(name: str) -> None:
    work, prefix, hostile = BY_HAND[name]
    for seed in hostile:
        for end in ("", "\x01", "!", "@", ">"):
            check(work, seed, prefix, end)


def test_a_long_header_is_folded_in_linear_time() -> None:
    """A copy of the text at each line shows only in long texts."""

    def fold(words: int) -> object:
        return headers.text_field("Subject", f"{'a' * 70} " * words)

    assert seconds(fold, 16_000) < 8 * seconds(fold, 4_000)


def test_the_worst_allowed_address_is_parsed_at_once() -> None:
    for seed in ("<", " ", "< ", "a <", "ü", '"\\'):
        text = (seed * addresses.ADDRESS_CHARACTERS)[: addresses.ADDRESS_CHARACTERS - 1] + "@"
        assert seconds(addresses.parse, text) < 0.02


def test_the_worst_allowed_head_of_a_form_part_is_read_at_once() -> None:
    for seed in (";", '";', "\\;", 'a=";'):
        text = 'form-data; filename="' + (seed * uploads._PART_HEAD_BYTES)[: uploads._PART_HEAD_BYTES]
        assert seconds(falcon.parse_header, text) < 0.05


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("Ada <ada@example.org>", "Ada", "ada@example.org"),
        ("  <ada@example.org>  ", "", "ada@example.org"),
        ("Ada<  ada@example.org  >", "Ada", "ada@example.org"),
        ('"<x> Ada" <ada@example.org>', "<x> Ada", "ada@example.org"),
        ("ada@example.org", "", "ada@example.org"),
    ],
)
def test_an_address_is_cut_at_its_last_bracket(text: str, name: str, spec: str) -> None:
    found = addresses.parse(text)
    assert (found.name, found.spec) == (name, spec)


@pytest.mark.parametrize(
    "text", ["<>", "Ada <>", "Ada <a@b.org> x", "<a>@b.org>", "<<a@b.org>", "ada@example.org>", ">"]
)
def test_misplaced_brackets_make_no_address(text: str) -> None:
    if text == "<<a@b.org>":  # a name may contain a bracket
        assert addresses.parse(text).name == "<"
        return
    with pytest.raises(ValueError, match="allowed"):
        addresses.parse(text)


@pytest.mark.parametrize(
    ("text", "is_receipt"),
    [("id:1 stat:DELIVRD", True), ("id:1stat:x", False), ("stat:D id:1", False), ("id: stat:D", False)],
)
def test_a_receipt_has_an_id_and_then_a_state(text: str, is_receipt: bool) -> None:
    assert (receipt(text) is not None) == is_receipt


def test_ids_of_thousands_of_digits_are_compared_as_text() -> None:
    assert found_receipts("1" * 9000)
    assert receipts.other_forms("1" * 9000) == receipts.other_forms("a" * 9000) == []
