"""Read numbers that ffmpeg and ffprobe print; pure. Their output may be hostile: unexpected values become None."""

import math
from fractions import Fraction

_FASTEST_FPS = 240
_LARGEST = 1 << 63


def number(text: object) -> float | None:
    """Return a finite number that is not negative, or None."""
    value = signed(text)
    return value if value is not None and value >= 0 else None


def signed(text: object) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole_number(text: object) -> int | None:
    """Return a whole number from 1 to the largest that 63 bits hold, or None."""
    value = number(text)
    return int(value) if value and value < _LARGEST else None


def frame_rate(text: object) -> Fraction | None:
    """Return a plausible frame rate, or None."""
    above, _, below = str(text).partition("/")
    if not above.isdigit() or not below.isdigit() or not int(above) or not int(below):
        return None
    rate = Fraction(int(above), int(below))
    return rate if 1 <= rate <= _FASTEST_FPS else None


def ratio(text: object, separator: str) -> float | None:
    """Return the quotient of two positive numbers, or None."""
    above, _, below = str(text).partition(separator)
    one, other = number(above), number(below)
    return number(one / other) if one and other else None
