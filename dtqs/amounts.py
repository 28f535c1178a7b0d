"""Formats amounts, lengths of time and times of day for people; pure."""

from datetime import UTC, datetime

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_TIME_CHARACTERS = len("2026-11-24T15:49:00")


def size(count: int) -> str:
    """Format a number of bytes: 1.2 MiB."""
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.{min(unit, 1)}f} {_UNITS[unit]}"


def amount(number: float) -> str:
    """Format a count: 1,234; 12.3k; 4.5M."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if number >= 10 * factor:
            return f"{number / factor:.1f}{unit}" if number < 100 * factor else f"{number / factor:,.0f}{unit}"
    return f"{number:,.0f}"


def rate(number: float) -> str:
    """Format a number of tasks per second: 4.2, 250."""
    return amount(number) if number >= 100 else f"{number:.1f}"


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: 1 worker, 2,000 workers."""
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"


def span(seconds: float) -> str:
    """Format a length of time in its two largest units: 45 s, 2 h 6 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def age(seconds: float) -> str:
    """Format a length of time in one unit, without fractions: 4 s, 3 min, 2 h, 5 d."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def seconds(value: float | None) -> str:
    """Format a length of time in one unit, with fractions below ten seconds: 4.2 ms, 1.3 s, 5 min."""
    if value is None:
        return "-"
    if value < 0.9995:
        return f"{value * 1000:.1f} ms" if value < 0.0995 else f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 10 else age(value)


def moment(at: str) -> float:
    """Return a time in ISO 8601 as Unix time."""
    return datetime.fromisoformat(at).timestamp()


def clock(at: str, now: float) -> str:
    """Format a time in ISO 8601 in this machine's zone: the time of day, or month, day and time if it is not today."""
    then = datetime.fromisoformat(at).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return then.strftime("%H:%M:%S" if then.date() == today else "%m-%d %H:%M")


def to_the_second(at: str) -> str:
    """Cut the API's text of a time in UTC to whole seconds: 2026-11-24T15:49:00Z."""
    return f"{at[:_TIME_CHARACTERS]}Z"
