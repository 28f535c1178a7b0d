"""Text of servers, files and programs in a form that results, logs and errors can hold."""

import re

NOT_IN_NAMES = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, characters that turn the direction of a text, and surrogates.

Joiners and unusual spaces may appear in names: Persian, Hindi and emoji need joiners.
"""


def one_line(text: str, most_characters: int) -> str:
    """Return foreign text as one line of printable characters.

    NULs and lone surrogates, which PostgreSQL cannot store, become spaces like any control character.
    """
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:most_characters]
