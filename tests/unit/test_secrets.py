"""Secrets are masked by their names and looks. The examples are data: the web page's masking is held to the same ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from dtqs.masking import MASK, masked

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "masked.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES["secret_names"])
def test_what_stands_under_a_telling_name_is_masked(name: str) -> None:
    values = EXAMPLES["secret_values"]
    assert [masked({"outer": [{name: value}]}) for value in values] == [{"outer": [{name: MASK}]}] * len(values)


@pytest.mark.parametrize("name", EXAMPLES["plain_names"])
def test_other_names_tell_of_no_secret(name: str) -> None:
    assert masked({name: "shown"}) == {name: "shown"}


def test_what_is_no_secret_in_itself_is_shown_under_any_name() -> None:
    values = EXAMPLES["plain_values"]
    assert [masked({"token": value}) for value in values] == [{"token": value} for value in values]


@pytest.mark.parametrize(("text", "shown"), EXAMPLES["texts"])
def test_a_secret_inside_a_text_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked([{"a": text}]) == [{"a": shown}]
