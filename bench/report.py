"""Results: each figure beside what was measured with it in turns, their medians, and the ratio; as a table, or as JSON."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Compared:
    """One thing measured, and another one beside it in every round. The ratio is the median of the rounds' own: the machine drifts."""

    what: str
    unit: str
    beside: str = ""
    at_least: float | None = None
    at_most: float | None = None
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def add(self, ours: float, theirs: float | None = None) -> None:
        self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    @property
    def ratio(self) -> float | None:
        if not self.theirs:
            return None
        return statistics.median(one / other for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether what was expected of the ratio (or of the figure, where nothing is beside it) came true."""
        value = self.ratio if self.beside else statistics.median(self.ours)
        if value is None or (self.at_least is None and self.at_most is None):
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def expected(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}"
        return f"≤ {self.at_most:,g}" if self.at_most is not None else ""

    def cells(self) -> list[str]:
        ratio = self.ratio
        return [
            self.what,
            f"{_number(statistics.median(self.ours))} {self.unit}",
            self.beside,
            _number(statistics.median(self.theirs)) if self.theirs else "",
            f"{ratio:.2f}" if ratio is not None else "",
            self.expected,
            {True: "yes", False: "NO", None: ""}[self.met],
        ]

    def record(self) -> dict[str, object]:
        return {
            "what": self.what, "unit": self.unit, "ours": self.ours, "beside": self.beside, "theirs": self.theirs,
            "ratio": self.ratio, "at_least": self.at_least, "at_most": self.at_most, "met": self.met,
        }  # fmt: skip


_COLUMNS = ["measured", "median", "beside it in the same run", "median", "ratio", "expected", "met"]


def show(title: str, results: Sequence[Compared], as_json: bool) -> None:
    """Print what was measured."""
    results = [result for result in results if result.ours]
    if as_json:
        print(json.dumps({"benchmark": title, "machine": machine(), "results": [result.record() for result in results]}, indent=1))
    else:
        print(f"\n{title} ({machine()})\n")
        print_columns([_COLUMNS, *(result.cells() for result in results)])


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def machine() -> str:
    """Say on what: absolute figures differ by a factor of 1.4 between machines of one kind."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} × {names[0]}, Python {platform.python_version()}" if names else platform.platform()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
