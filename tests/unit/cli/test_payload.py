"""Payloads from the arguments of a command."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dtqs.cli import main
from dtqs.cli.payload import LocalUpload, PayloadError, build, resolve, uploads
from dtqs.json_value import fits_depth

FILES = {"payload.json": '{"source": "upload:1", "outputs": []}', "bad.json": "{", "-": '{"from": "stdin"}'}


def made(*pairs: str, options: tuple[str, ...] = ()) -> Any:
    return build(options, pairs, FILES.__getitem__)


@pytest.mark.parametrize(
    ("pairs", "payload"),
    [
        ((), {}),
        (("a=1", "b=x", "c=true", "d=null"), {"a": 1, "b": "x", "c": True, "d": None}),
        (('e="1"', "f=", "g=[1,2]", "h=1.5"), {"e": "1", "f": "", "g": [1, 2], "h": 1.5}),
        (("a=b=c",), {"a": "b=c"}),
        (("to=+4917012345",), {"to": "+4917012345"}),
        (("n=007",), {"n": "007"}),
        (("n=NaN", "i=-Infinity"), {"n": "NaN", "i": "-Infinity"}),
        (("n=123456789012345678901234567890",), {"n": 123456789012345678901234567890}),
        (("a.b.c=1", "a.d=2"), {"a": {"b": {"c": 1}, "d": 2}}),
        (("a\\.b=1",), {"a.b": 1}),
        (
            ("outputs.0.width=1", "outputs.0.name=s", "outputs.1.width=2"),
            {"outputs": [{"width": 1, "name": "s"}, {"width": 2}]},
        ),
        (("a.0=1", "a.1=2"), {"a": [1, 2]}),
        (("a=1e300", "b=1.10", "c=2.50e-3"), {"a": 1e300, "b": 1.1, "c": 0.0025}),
        (("0=a",), {"0": "a"}),
    ],
)
def test_pairs_become_a_payload(pairs: tuple[str, ...], payload: Any) -> None:
    assert made(*pairs) == payload


def test_pairs_extend_a_whole_payload() -> None:
    assert made("b=2", "c.d=3", options=('{"a": 1}',)) == {"a": 1, "b": 2, "c": {"d": 3}}
    assert made("outputs.0.width=7", options=("@payload.json",)) == {"source": "upload:1", "outputs": [{"width": 7}]}
    assert made(options=("@-",)) == {"from": "stdin"}
    assert made("b=2", options=("a=1",)) == {"a": 1, "b": 2}


def test_a_whole_payload_may_stand_in_the_place_of_the_pairs() -> None:
    assert made('{"a": 1}', "b=2") == {"a": 1, "b": 2}
    assert made("@payload.json") == {"source": "upload:1", "outputs": []}
    for wrong in (("a=1", '{"b": 2}'), ('{"a": 1}', '{"b": 2}')):
        with pytest.raises(PayloadError, match="must come first and only once"):
            made(*wrong)


@pytest.mark.parametrize(
    ("pairs", "options"),
    [
        (("a",), ()),
        (("=1",), ()),
        (("a=1", "a=2"), ()),
        (("a=1", "a.b=2"), ()),
        (("a.1=1",), ()),
        (("a.0=1", "a.x=1"), ()),
        (("a.0=1", "a.0=1"), ()),
        (("a.99999999999999999999=1",), ()),
        (("a=" + "[" * 2000,), ()),
        (("a=" + "[" * 300 + "]" * 300,), ()),
        ((".".join("a" * 2000) + "=1",), ()),
        ((), ('{"a": ' + "[" * 2000,)),
        ((), ('{"a": ' + "[" * 300 + "]" * 300 + "}",)),
        (("a=1e999",), ()),
        (("a=[0.12345678901234567890]",), ()),
        ((), ('{"a": -1e999}',)),
        ((), ("{",)),
        ((), ('{"a": NaN}',)),
        ((), ("@bad.json",)),
        ((), ("{}", "{}")),
        (("a=1",), ("[1]",)),
    ],
)
def test_arguments_that_make_no_payload_are_refused(pairs: tuple[str, ...], options: tuple[str, ...]) -> None:
    with pytest.raises(PayloadError):
        made(*pairs, options=options)


def test_each_file_is_uploaded_once_and_replaced_by_its_uri() -> None:
    payload = made("source=@a/photo.jpg", "more.0=@a/photo.jpg", "more.1=@b.jpg")
    first, second = LocalUpload(Path("a/photo.jpg")), LocalUpload(Path("b.jpg"))
    assert uploads(payload) == [first, second]
    uris = {first: "upload:1", second: "upload:2"}
    assert resolve(payload, uris.__getitem__) == {"source": "upload:1", "more": ["upload:1", "upload:2"]}


@pytest.mark.parametrize(
    "words", [("\udcff",), ("echo", "a=\udcff"), ("echo", "-p", '{"a": "\udcff"}'), ("echo", "--tag", "\udcff")]
)
def test_text_that_is_not_utf_8_is_named(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["submit", *words])
    assert (result.exit_code, result.stderr) == (2, f"{words[-1]!a} is not UTF-8 text\n")


def test_only_a_regular_file_is_uploaded() -> None:
    result = CliRunner().invoke(main, ["submit", "image", "source=@/dev/null"], env={"DTQS_URL": "http://127.0.0.1:1"})
    assert (result.exit_code, result.stderr) == (2, "@/dev/null: this is not a regular file\n")


def closed(path: Path, *_: object) -> bool:
    """Fail as a look into a folder does that this user may not enter. Tests may run as root, who enters all."""
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize("words", [("image", "source=@/closed/x"), ("echo", "-p", "@/closed/x")])
def test_a_file_in_a_closed_folder_is_named(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    for name in ("is_dir", "read_text"):
        monkeypatch.setattr(Path, name, lambda path, **_: closed(path))
    result = CliRunner().invoke(main, ["submit", *words], env={"DTQS_URL": "http://127.0.0.1:1"})
    assert (result.exit_code, result.stderr.endswith("@/closed/x: Permission denied\n")) == (2, True)


def test_a_payload_may_have_as_many_levels_as_the_api_takes() -> None:
    payload = made("a=" + "[" * 248 + "]" * 248)
    assert fits_depth({"payload": payload})
    assert uploads(payload) == []
    assert resolve(payload, str) == payload
    with pytest.raises(PayloadError, match="at most 249 levels"):
        made("a=" + "[" * 249 + "]" * 249)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (("a.0=1", f"a.{'9' * 5000}=2"), "is not an index of its list"),
        ((f"a={'9' * 4301}",), "a number may have 4300 digits"),
        (("a.=1",), "a part of this key is empty"),
        ((".a=1",), "a part of this key is empty"),
        (("a..b=1",), "a part of this key is empty"),
    ],
)
def test_keys_and_numbers_that_no_payload_takes_are_refused(pairs: tuple[str, ...], told: str) -> None:
    with pytest.raises(PayloadError, match=told):
        made(*pairs)
    assert made(f"a={'9' * 4300}") == {"a": int("9" * 4300)}
