"""What the names of a task's outputs must keep to, for the task types that make several files of one source."""

from collections.abc import Sequence
from typing import Protocol


class Named(Protocol):
    @property
    def name(self) -> str: ...


def check_names(outputs: Sequence[Named], left_out: str) -> None:
    """Want at least one output, and a name of its own for each; `left_out` says what is made where none is named. Raises ValueError."""
    # not min_length: with that, an invalid only item is also told as one too few
    if not outputs:
        raise ValueError(f"at least one output is needed; left out: {left_out}")
    seen: set[str] = set()
    for output in outputs:
        # a client that saves them side by side may be on a disk that ignores case
        if output.name.lower() in seen:
            raise ValueError(f"two outputs are named {output.name}; allowed: a name of its own for each, letters of either case being the same")
        seen.add(output.name.lower())
