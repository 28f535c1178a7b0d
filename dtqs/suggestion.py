"""Suggest the known name that is closest to a mistyped one; pure."""

import difflib
from collections.abc import Iterable

NAME_CHARACTERS = 60
"""Longer names get no suggestion: a search takes about a millisecond, and more for a long name."""
SIMILARITY = 0.6


def closest(name: str, known: Iterable[str], similarity: float = SIMILARITY) -> str | None:
    """Return the known name that is most like `name`; None if no name is as similar as `similarity` (1.0: equal)."""
    if not 0 < len(name) <= NAME_CHARACTERS:
        return None
    return next(iter(difflib.get_close_matches(name, list(known), 1, similarity)), None)


def did_you_mean(name: str, known: Iterable[str], similarity: float = SIMILARITY) -> str:
    """Return "; did you mean …?", or an empty text if no known name is close."""
    close = closest(name, known, similarity)
    return f"; did you mean {close}?" if close else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" if a known name is close, and the list of all known names."""
    names = list(known)
    return f"{did_you_mean(name, names)}; known: {', '.join(names)}"
