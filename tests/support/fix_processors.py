"""An attempt without a worker: a Context whose reports are kept in lists, with its own file space."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dtqs.config import FilesSection
from dtqs.files import FileSpace
from dtqs.processors.base import Context, Json
from dtqs.task import Effect
from dtqs.turn import Turn
from dtqs.uuid7 import uuid7


@dataclass
class Reports:
    """The reports of an attempt, in order."""

    fractions: list[float] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def progress(self, task_id: str, attempt: int, fraction: float, message: str) -> None:
        self.fractions.append(fraction)

    def log(self, task_id: str, attempt: int, level: str, message: str, data: Json) -> None:
        self.logs.append((level, message))

    def effect_begins(self, task_id: str, effect: Effect) -> None:
        self.effects.append(effect)

    def take(self, turns: Sequence[Turn]) -> None:
        self.turns += turns


@dataclass
class Attempt:
    """A file space and its reports; `context` makes the Context of one attempt."""

    space: FileSpace
    reports: Reports = field(default_factory=Reports)

    def context(self, attempt: int = 1) -> Context:
        return Context(uuid7(), attempt, self.reports, self.space)


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """An attempt whose sources may be uploads or lie in the test's own folder."""
    return Attempt(FileSpace(FilesSection(directory=tmp_path / "space", roots=(tmp_path / "sources",))))
