"""A supervisor in its own process, and the events that its children report in a file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import eventually

ROOT = Path(__file__).parents[2]
QUICK = {
    "drain_seconds": 5.0,
    "stop_seconds": 2.0,
    "beat_timeout_seconds": 10.0,
    "restart_base_seconds": 0.05,
    "hard_limit_seconds": 0.1,
}
Report = dict[str, Any]


class Node:
    """One running supervisor. Verbs for its tests."""

    def __init__(
        self,
        folder: Path,
        scenario: str,
        settings: dict[str, float],
        environment: dict[str, str],
        output: int | None = None,
    ) -> None:
        self.folder = folder
        command = [
            sys.executable,
            "-m",
            "tests.process.supervised_node",
            scenario,
            str(folder),
            json.dumps(QUICK | settings),
        ]
        with open(folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=output or log, stderr=output or log, env=os.environ | environment
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def reports(self, event: str, child: str = "default/0") -> list[Report]:
        """Return this child's reports of the event so far; the last line of the file may still be incomplete."""
        reports = self.folder / "reports"
        lines = reports.read_text().split("\n")[:-1] if reports.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["event"] == event and entry["child"] == child]

    def wait_for(self, event: str, child: str = "default/0", count: int = 1) -> Report:
        """Wait until the child has reported the event `count` times, and return the last report."""
        self.wait_until(lambda: len(self.reports(event, child)) >= count, f"{count} × {event} from {child}")
        return self.reports(event, child)[count - 1]

    def wait_for_log(self, text: str) -> None:
        self.wait_until(lambda: text in self.log, f"the log says {text!r}")

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        try:
            eventually(condition, 10, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_for_end(self) -> int:
        return self.process.wait(15)


def alive(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


Start = Callable[..., Node]


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Start]:
    nodes: list[Node] = []

    def start(
        scenario: str, environment: dict[str, str] | None = None, output: int | None = None, **settings: float
    ) -> Node:
        nodes.append(Node(tmp_path, scenario, settings, environment or {}, output))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait(10)
