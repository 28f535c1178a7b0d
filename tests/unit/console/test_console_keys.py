"""Keys as npyscreen passes them, and their names on the screen."""

import curses

import pytest

from dtqs.console.app import keys_of


@pytest.mark.parametrize(
    ("pressed", "keys"),
    [
        ("ü", ["ü"]),
        (ord("q"), ["q"]),
        (27, ["escape"]),
        (curses.KEY_UP, ["up"]),
        (0x80 | ord("q"), ["escape", "q"]),
        (0x80 | 27, ["escape", "escape"]),
        (0x80 | 10, ["escape", "enter"]),
        (curses.KEY_F1, []),
        (-1, []),
    ],
)
def test_a_key_right_after_escape_is_kept(pressed: int | str, keys: list[str]) -> None:
    assert keys_of(pressed) == keys
