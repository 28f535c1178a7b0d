"""Amounts as people read them, everywhere the same; pure."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int) -> str:
    """Write a number of bytes: 1.2 MiB."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.{min(unit, 1)}f} {_UNITS[unit]}"
