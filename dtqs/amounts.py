"""Amounts as people read them, everywhere the same; pure."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Write a number of bytes: 1.2 MiB."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.{min(unit, 1)}f} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """Write a length of time in its two largest units: 45 s, 2 h 6 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: 1 worker, 2,000 workers."""
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"
