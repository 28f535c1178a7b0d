"""The result of one check, and its states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one part of the system, the finding, and advice unless the state is ok."""

    part: str
    state: str
    found: str
    advice: str = ""


def skipped(parts: Sequence[str], cause: str) -> Iterator[Check]:
    """Return a skipped check for each part: `cause` failed before they could be checked."""
    for part in parts:
        yield Check(part, SKIPPED, "not checked", f"repair {cause} first")
