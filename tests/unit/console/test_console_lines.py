"""Text in the cells of a terminal, and numbers for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dtqs.amounts import amount, rate, seconds
from dtqs.console.formats import short_id
from dtqs.console.lines import StyledText, bar, beside, cut, fit, line, pad, paragraph, safe, spark, wrapped
from dtqs.console.snapshot import FilterRefused, TaskWanted, read_filter

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\u202egnp.exe\x9b31m"


@given(st.text(), st.integers(1, 40))
def test_any_text_is_padded_to_its_cells(text: str, width: int) -> None:
    assert cell_len(pad(safe(text), width)) == width
    assert all(cell_len(row) <= max(2, width) for row in wrapped(safe(text), max(2, width)))


def test_wide_characters_are_cut_by_cells() -> None:
    assert cut("电影电影", 8) == "电影电影"
    assert cut("电影电影", 6) == "电影…"
    assert pad("🎬x", 5) == "🎬x  "
    assert fit(line("电影", StyledText("电影", "bad")), 7).text == "电影电…"


def test_hostile_text_is_made_visible() -> None:
    shown = safe(HOSTILE)
    assert shown.isprintable()
    assert "\\x1b[2J" in shown


def test_blocks_are_placed_side_by_side() -> None:
    rows = beside([line("电影")], [line("a"), line("b")], 6)
    assert [row.text for row in rows] == ["电影  a", "      b"]


def test_a_bar_is_as_full_as_its_fraction() -> None:
    assert bar(0.0, 4) == "····"
    assert bar(0.5, 4) == "██··"
    assert bar(7.0, 4) == "████"


def test_a_small_chart_ends_with_the_newest_value_and_shows_every_value_above_zero() -> None:
    assert spark([0, 8, 0.01], 3) == "▁█▁"
    assert spark([8, 0.01], 3) == "▁█▁"
    assert spark([8, 0, 0, 0, 0, 0.01], 3) == "█▁▁", "the chart covers the whole time in its columns"
    assert spark([], 3) == "▁"


@pytest.mark.parametrize(
    ("value", "words"), [(9999, "9,999"), (12345, "12.3k"), (1_234_567, "1,235k"), (12_345_678, "12.3M")]
)
def test_counts_are_short(value: float, words: str) -> None:
    assert amount(value) == words


def test_rates_and_times_have_only_significant_digits() -> None:
    assert [rate(0.5), rate(250.4)] == ["0.5", "250"]
    assert [seconds(None), seconds(0.0042), seconds(0.5), seconds(1.25), seconds(300)] == [
        "-",
        "4.2 ms",
        "500 ms",
        "1.2 s",
        "5 min",
    ]


def test_a_short_id_distinguishes_tasks_of_the_same_moment() -> None:
    assert short_id("01a20f62-c58a-7434-8918-84a0160d8521", 13) == "01a20f62…8521"
    assert short_id("01a20f62-c58a-7434-8918-84a0160d8521", 36) == "01a20f62-c58a-7434-8918-84a0160d8521"


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("", TaskWanted()),
        ("status:failed type:email tag:x id:01A2", TaskWanted("failed", "email", "x", "01a2")),
        ("failed email #x 01a20f62", TaskWanted("failed", "email", "x", "01a20f62")),
        ("id:01a20f62c58a7434", TaskWanted(prefix="01a20f62-c58a-7434")),
        ("01A20F62-C58A-7434-8918-84A0160D8521", TaskWanted(prefix="01a20f62-c58a-7434-8918-84a0160d8521")),
        ("face", TaskWanted(task_type="face")),
    ],
)
def test_a_filter_is_read_as_it_is_typed(typed: str, wanted: TaskWanted) -> None:
    assert read_filter(typed) == wanted


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("status:faild", "allowed: pending, in_progress"),
        ("id:xyz", "id: allowed:"),
        (f"id:{'0' * 33}", "id: allowed:"),
        ("colour:red", "colour: is not a filter"),
    ],
)
def test_a_wrong_filter_is_reported(typed: str, words: str) -> None:
    with pytest.raises(FilterRefused, match=words):
        read_filter(typed)


def test_a_paragraph_breaks_between_words_and_loses_none() -> None:
    text = "the mail server refused ada@example.org: mailbox unavailable, and a-word-of-many-more-cells-than-a-row"
    rows = paragraph(text, 20)
    assert rows[:3] == ["the mail server", "refused", "ada@example.org:"]
    assert all(cell_len(row) <= 20 for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


@given(st.text(), st.integers(2, 40))
def test_a_paragraph_of_any_text_fits_and_keeps_every_character(text: str, width: int) -> None:
    shown = safe(text)
    rows = paragraph(shown, width)
    assert all(cell_len(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == shown.replace(" ", "")
