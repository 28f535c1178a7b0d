"""Plain English (STYLE section 5): sentences, widths and depths of everything that people read here."""

import ast
from pathlib import Path

import pytest

from tests.support.english import (
    NESTING,
    WHAT_PER_THOUSAND,
    Prose,
    faults,
    files,
    nesting,
    prose,
    what_per_thousand,
)

FILES = files()


def test_sentences_widths_and_depths_are_as_the_style_says() -> None:
    assert [str(fault) for path in FILES for fault in faults(path)] == []


def test_what_is_said_seldom() -> None:
    assert what_per_thousand(FILES) <= WHAT_PER_THOUSAND


@pytest.mark.parametrize(
    "text",
    [
        '"""What this does."""',
        "# Done. Who calls it waits.",
        'x = "That which fails is kept"',
        "x = 1  # none of ours",
        "y = '''" + "a" * 121 + "'''",
    ],
)
def test_a_fault_is_found(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.english.ROOT", tmp_path)
    path = tmp_path / "one.py"
    path.write_text(text + "\n", encoding="utf-8")
    assert [*faults(path)]


def test_prose_is_found_in_every_kind_of_file(tmp_path: Path) -> None:
    texts = {
        "a.py": '"""One two three."""',
        "b.sql": "SELECT 1 -- One two three.",
        "c.js": "// One two three.",
        "d.css": "/* One two three. */",
        "e.sh": "# One two three.",
        "f.ini": "; One two three.",
        "g.md": "One two three.",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
        assert [Prose(1, part.text.strip()) for part in prose(tmp_path / name)] == [Prose(1, "One two three.")], name


def test_depth_counts_blocks_and_not_elifs() -> None:
    flat = "def f():\n if a:\n  x\n elif b:\n  y\n else:\n  z\n"
    deep = "def f():\n if a:\n  for b in c:\n   while d:\n    with e:\n     x\n"
    assert (nesting(ast.parse(flat).body[0]), nesting(ast.parse(deep).body[0])) == (1, NESTING + 1)
