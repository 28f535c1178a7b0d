"""The files in migrations/: each turns one version of the schema into the next."""

import functools
import re
from dataclasses import dataclass

from dtqs.resources import resource

_NAME = re.compile(r"(\d{3})_\w+\.sql")
_HEADER = re.compile(r"-- (?P<purpose>.+)\n-- compatible: (?P<compatible>\d+)\n-- locks: (?P<locks>\w+(?:, \w+)*)\n\n")


@dataclass(frozen=True)
class Migration:
    """One file, described by its name and its first three lines."""

    version: int
    """The version that it makes."""
    file_name: str
    purpose: str
    compatible: int
    """The oldest version of code that may work on the resulting schema."""
    locks: tuple[str, ...]
    """The tables that it changes, in the order of their locks."""
    text: bytes


@functools.cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations in order. Raises ValueError for a file without a valid name or header."""
    paths = sorted(resource("migrations").glob("*.sql"))
    return tuple(_read(path.name, path.read_text(encoding="utf-8")) for path in paths)


def pending(version: int) -> list[Migration]:
    """Return the migrations that a database of this version lacks, in order."""
    return [migration for migration in migrations() if migration.version > version]


def _read(file_name: str, text: str) -> Migration:
    name, header = _NAME.fullmatch(file_name), _HEADER.match(text)
    if name is None or header is None:
        raise ValueError(f"{file_name}: it must be NNN_words.sql and begin with purpose, compatible, locks")
    locks = () if header["locks"] == "none" else tuple(header["locks"].split(", "))
    compatible = int(header["compatible"])
    return Migration(int(name[1]), file_name, header["purpose"], compatible, locks, text.encode())
