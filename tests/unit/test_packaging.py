"""The files beside the code are found, and the pinned requirements are complete."""

import re
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from dtqs.resources import resource

ROOT = Path(__file__).resolve().parents[2]


def _pins() -> tuple[set[NormalizedName], set[NormalizedName]]:
    """Return the packages pinned for running, and all pinned packages."""
    text = (ROOT / "conf/constraints.txt").read_text(encoding="utf-8")
    first, _, _ = text.partition("# tests and checks")
    names = [
        {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", part, re.MULTILINE)} for part in (first, text)
    ]
    return names[0], names[1]


def _needs(names: set[NormalizedName]) -> set[NormalizedName]:
    """Return the packages that these need here, without extras."""
    found = set()
    for name in names & {canonicalize_name(each.name) for each in distributions()}:
        for requirement in map(Requirement, requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                found.add(canonicalize_name(requirement.name))
    return found


@pytest.mark.parametrize("name", ["schema.sql", "migrations", "conf/dtqs.ini", "conf/gunicorn.conf.py"])
def test_the_files_beside_the_code_are_found(name: str) -> None:
    assert resource(name) == ROOT / name


def test_a_resource_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such\.file"):
        resource("no-such.file")


def test_the_pins_name_every_package_that_setup_needs() -> None:
    running, everything = _pins()
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    asked = re.search(r"install_requires=\[(.*?)\n    \]", text, re.DOTALL)
    assert asked
    assert {
        canonicalize_name(re.split(r"[\[>=]", name)[0]) for name in re.findall(r'^ +"([^"]+)"', asked[1], re.MULTILINE)
    } <= running
    assert {"hypothesis", "mypy", "pytest", "ruff", "schemathesis"} <= everything


def test_the_pins_are_complete() -> None:
    running, everything = _pins()
    assert _needs(running) <= running
    assert _needs(everything) <= everything
