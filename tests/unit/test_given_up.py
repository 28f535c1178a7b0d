"""The slots that are given up: one line in shared memory, and names among the present values of a keeper."""

import pytest

from dtqs.given_up import GivenUp, GivenUpSlots, from_values, words_of
from dtqs.last_words import LINE_BYTES, LastWords


def through_memory(slots: list[tuple[str, str]]) -> GivenUp | None:
    words = LastWords(1)
    words.say(0, GivenUp.of(slots).line(LINE_BYTES))
    return GivenUp.read(words.read(0))


def test_seats_with_the_same_last_words_are_one_group_through_memory_and_values() -> None:
    slots = [(f"default/{number}", "ValueError: a|b") for number in range(5)] + [("video/0", "no 'film' é")]
    found = through_memory(slots)
    assert found == GivenUp.of(slots)
    assert found.groups == (
        GivenUpSlots("default/0, default/1, default/2 and 2 more", 5, "ValueError: a|b"),
        GivenUpSlots("video/0", 1, "no 'film' é"),
    )
    assert from_values(found.values() | {"=slots|given_up": 6}) == found.groups


@pytest.mark.parametrize("letter", ["x", '"', "é", "😀"])
def test_a_line_without_room_drops_groups_then_letters_and_never_the_count(letter: str) -> None:
    found = through_memory([(f"p/{number}", f"{number}{letter * 1000}") for number in range(40)])
    assert found
    assert found.slots == 40
    assert found.groups[0].names == "p/0"
    assert found.groups[0].reason.startswith(f"0{letter * 10}")


@pytest.mark.parametrize(
    "line",
    [
        '[1, [["default/0", 1, "cu',
        "[1]",
        '{"a": 1}',
        "7",
        '[1, [["a", "b"]]]',
        "[1e999, []]",
        "[-1, []]",
        '[1, [["a", 1e999, "b"]]]',
        '[1, [["a", -1, "b"]]]',
        "[" + "9" * 400 + ", []]",
        "[" * 100_000,
    ],
)
def test_a_torn_line_is_no_answer_and_an_empty_one_means_no_slot(line: str) -> None:
    assert GivenUp.read(line) is None
    assert GivenUp.read("") == GivenUp()


def test_the_sentence_names_seats_node_and_last_words() -> None:
    assert words_of("host", GivenUpSlots("default/1", 1, "no memory")) == (
        "default/1 on host is given up, because its children ended before they were ready: no memory; "
        "dtqs ctl reload tries again"
    )
