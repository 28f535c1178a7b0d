"""Show each figure beside its comparison from the same run, with medians and their ratio; as a table, or as JSON."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Compared:
    """A measured figure, and a comparison in every round.

    The ratio is the median of the rounds' own ratios, because the speed of the machine drifts.
    """

    name: str
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
        """Whether the ratio, or the figure if there is no comparison, is within the expected limits."""
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
            self.name,
            f"{_number(statistics.median(self.ours))} {self.unit}",
            self.beside,
            _number(statistics.median(self.theirs)) if self.theirs else "",
            f"{ratio:.2f}" if ratio is not None else "",
            self.expected,
            {True: "yes", False: "NO", None: ""}[self.met],
        ]

    def record(self) -> dict[str, object]:
        return {
            "what": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "beside": self.beside,
            "theirs": self.theirs,
            "ratio": self.ratio,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "met": self.met,
        }


@dataclass(slots=True)
class Costs:
    """Microseconds of processor time per task, by group of processes, for each measured figure."""

    rounds: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)

    def add(self, name: str, side: str, cost: dict[str, float]) -> None:
        self.rounds.setdefault((name, side), []).append(cost)

    def medians(self) -> list[tuple[str, str, dict[str, float]]]:
        return [
            (name, side, {group: statistics.median(one[group] for one in costs) for group in costs[0]})
            for (name, side), costs in self.rounds.items()
        ]


_COLUMNS = ["measured", "median", "compared with", "median", "ratio", "expected", "met"]
_GROUPS = ("PostgreSQL", "RabbitMQ", "API", "workers", "bench itself")


def show(title: str, results: Sequence[Compared], as_json: bool, costs: Sequence[Costs] = ()) -> None:
    """Print the results."""
    results = [result for result in results if result.ours]
    medians = [one for each in costs for one in each.medians()]
    if as_json:
        cpu = [{"what": name, "whose": side, "microseconds_per_task": cost} for name, side, cost in medians]
        print(
            json.dumps(
                {
                    "benchmark": title,
                    "machine": machine(),
                    "results": [result.record() for result in results],
                    "cpu": cpu,
                },
                indent=1,
            )
        )
        return
    print(f"\n{title} ({machine()})\n")
    print_columns([_COLUMNS, *(result.cells() for result in results)])
    if medians:
        print("\nprocessor time, µs per task\n")
        print_columns([["measured", "side", *_GROUPS, "all"], *(_cost_cells(*one) for one in medians)])


def _cost_cells(name: str, side: str, cost: dict[str, float]) -> list[str]:
    values = [cost.get(group) for group in _GROUPS]
    return [name, side, *("" if value is None else f"{value:.1f}" for value in values), f"{sum(cost.values()):.1f}"]


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def machine() -> str:
    """Describe the machine: absolute figures differ by a factor of 1.4 between machines of one kind."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} × {names[0]}, Python {platform.python_version()}" if names else platform.platform()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
