"""The hash of a body by the content of its uploads."""

import orjson

from dtqs.api.submit.unnamed import without_names
from dtqs.uuid7 import uuid7

ONE, TWO, OTHER = (f"upload:{uuid7()}" for _ in range(3))


def content_hash(value: object, sums: dict[str, str], uris: tuple[str, ...] = (ONE, TWO, OTHER)) -> bytes:
    by_id = {uri.removeprefix("upload:"): found for uri, found in sums.items()}
    return without_names(orjson.dumps(value), uris).content_hash(by_id)


def test_bodies_that_name_other_uploads_of_the_same_bytes_are_the_same() -> None:
    first = content_hash({"a": ONE, "b": [TWO, ONE]}, {ONE: "x", TWO: "y"})
    assert len(first) == 32
    assert content_hash({"a": TWO, "b": [OTHER, TWO]}, {TWO: "x", OTHER: "y"}) == first
    assert content_hash({"a": ONE.upper().replace("UPLOAD", "upload"), "b": [TWO, ONE]}, {ONE: "x"}) != first


def test_other_bytes_another_place_or_another_text_make_another_body() -> None:
    first = content_hash({"a": ONE, "b": [TWO, ONE]}, {ONE: "x", TWO: "y"})
    for value, sums in (
        ({"a": ONE, "b": [TWO, ONE]}, {ONE: "x", TWO: "z"}),
        ({"a": ONE, "b": [TWO, TWO]}, {ONE: "x", TWO: "y"}),
        ({"a": TWO, "b": [ONE, TWO]}, {ONE: "x", TWO: "y"}),
        ({"a": ONE, "b": [TWO, ONE], "c": 1}, {ONE: "x", TWO: "y"}),
    ):
        assert content_hash(value, sums) != first


def test_a_text_that_is_no_source_of_the_task_stays_as_it_is() -> None:
    first, second = (content_hash({"a": ONE, "note": text}, {ONE: "x"}, (ONE,)) for text in (TWO, OTHER))
    assert first != second


def test_a_body_whose_upload_is_gone_has_no_such_hash() -> None:
    assert content_hash({"a": ONE, "b": TWO}, {ONE: "x"}) == b""
