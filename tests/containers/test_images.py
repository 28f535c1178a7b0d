"""The judges find nothing in Dockerfile and compose.yaml, and the images keep their sizes."""

import os
import subprocess
from pathlib import Path
from stat import S_ISREG

import pytest

from tests.containers.image import FOLDER
from tests.support.source import ROOT

TOOLS = ROOT / ".venv-image/bin"
BLOCK, MEGABYTE = 512, 1_000_000
LIMITS = {"dtqs": 110, "dtqs-media": 370}
"""Megabytes above the base."""


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_is_silent_and_finds_a_fault(tmp_path: Path) -> None:
    done = run(TOOLS / "hadolint", ROOT / "Dockerfile")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    broken = tmp_path / "Dockerfile"
    broken.write_text("FROM debian:latest\nRUN cd /tmp && sudo true\n")
    found = run(TOOLS / "hadolint", broken)
    assert found.returncode == 1
    assert "DL3007" in found.stdout


def test_compose_fits_its_schema_and_a_misspelt_key_does_not(tmp_path: Path) -> None:
    judge = (TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    done = run(*judge, ROOT / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "compose.yaml"
    broken.write_text((ROOT / "compose.yaml").read_text(encoding="utf-8").replace("read_only:", "readonly:"))
    found = run(*judge, broken)
    assert found.returncode == 1
    assert "readonly" in found.stdout


def size(root: Path) -> float:
    """Return the size in MB as engines print it: as a tar archive. A file with several names counts once."""
    found = {}
    for path, folders, files in os.walk(root):
        for status in (os.lstat(os.path.join(path, name)) for name in folders + files):
            found[status.st_ino] = BLOCK + (-(-status.st_size // BLOCK) * BLOCK if S_ISREG(status.st_mode) else 0)
    return sum(found.values()) / MEGABYTE


@pytest.mark.parametrize("target", LIMITS)
def test_an_image_adds_no_more_than_its_limit(target: str) -> None:
    added = size(FOLDER / target) - size(FOLDER / "base")
    assert 50 < added <= LIMITS[target]
