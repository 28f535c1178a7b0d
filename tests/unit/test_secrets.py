"""Secrets are masked by name and by form. A test of the web page's masking uses the same examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from dtqs.masking import MASK, masked

EXAMPLES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "masked.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES["secret_names"])
def test_a_value_under_the_name_of_a_secret_is_masked(name: str) -> None:
    values = EXAMPLES["secret_values"]
    assert [masked({"outer": [{name: value}]}) for value in values] == [{"outer": [{name: MASK}]}] * len(values)


@pytest.mark.parametrize("name", EXAMPLES["plain_names"])
def test_other_names_mask_nothing(name: str) -> None:
    assert masked({name: "shown"}) == {name: "shown"}


def test_a_value_that_can_be_no_secret_is_shown_under_any_name() -> None:
    values = EXAMPLES["plain_values"]
    assert [masked({"token": value}) for value in values] == [{"token": value} for value in values]


@pytest.mark.parametrize(("text", "shown"), EXAMPLES["texts"])
def test_a_secret_inside_a_text_is_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked([{"a": text}]) == [{"a": shown}]
