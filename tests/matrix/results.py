"""Results of the cells: kept in a file after each cell, so that the next call goes on; and their table."""

import hashlib
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dtqs.sandbox.child import write_private
from tests.matrix.cells import Cell
from tests.support.source import ROOT

PASSED, FAILED, NOT_AVAILABLE, NOT_RUN = "passed", "failed", "not available", "not run"
_SOURCES = ("dtqs", "tests", "migrations", "schema.sql", "pyproject.toml", "conf")


@dataclass(frozen=True, slots=True)
class Result:
    """How a cell ended. `note` is the reason why it did not pass."""

    state: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: int = 0
    note: str = ""
    versions: str = ""


class Results:
    """The results of this state of the checkout. Those of another state are forgotten."""

    def __init__(self, path: Path) -> None:
        self._path, self._state = path, _fingerprint()
        self.by_name: dict[str, Result] = {}
        with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["state"] == self._state:
                self.by_name = {name: Result(**values) for name, values in kept["cells"].items()}

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.by_name.pop(name, None)

    def keep(self, name: str, result: Result) -> None:
        """Store the result at once: whatever ends the matrix now, the next call goes on after this cell."""
        self.by_name[name] = result
        cells = {name: asdict(result) for name, result in self.by_name.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_private(self._path, json.dumps({"state": self._state, "cells": cells}, indent=1) + "\n")

    def are_passed(self, names: Sequence[str]) -> bool:
        return all(name in self.by_name and self.by_name[name].state == PASSED for name in names)


def read_junit(path: Path) -> tuple[int, int, int, list[str]]:
    """Return the passed, failed and skipped tests of pytest's report, and the names of those that failed."""
    passed = skipped = 0
    failures: list[str] = []
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(str(case.get("name")))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, len(failures), skipped, failures


def exit_status(cells: Sequence[Cell], results: Results) -> int:
    """Return 1 unless all cells have passed. The newest servers may be missing, but not all."""
    states = {cell: results.by_name.get(cell.name, Result(NOT_RUN)).state for cell in cells}
    fine = all(state == PASSED or (state == NOT_AVAILABLE and cell.may_be_missing) for cell, state in states.items())
    return 0 if fine and PASSED in states.values() else 1


def table(names: Sequence[str], results: Results) -> Iterator[str]:
    """Return the lines of the table."""
    width = max(map(len, names), default=4)
    yield f"{'cell':{width}}  {'result':13}  passed  failed  skipped  seconds"
    for name in names:
        one = results.by_name.get(name, Result(NOT_RUN))
        counts = f"{one.passed:6}  {one.failed:6}  {one.skipped:7}  {one.seconds:7}"
        yield f"{name:{width}}  {one.state:13}  {counts}  {one.note}".rstrip()
    versions = sorted({word for name in names if name in results.by_name for word in _versions(results.by_name[name])})
    if versions:
        yield "Versions: " + ", ".join(versions)


def _versions(result: Result) -> list[str]:
    return [word for word in result.versions.split(", ") if word]


def _fingerprint() -> str:
    """Return a digest of all files that decide how a cell ends."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        top = ROOT / source
        for path in sorted([top] if top.is_file() else top.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
