"""The units in systemd/, judged by systemd itself. No unit is started here."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.source import ROOT

UNITS = ROOT / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
EXPOSURE_LIMIT = 1.2

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copy the units with a program that is there, since nothing is installed in /opt."""
    for path in UNITS.glob("*.*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("/opt/dtqs/bin/dtqs", "/bin/true")
            (tmp_path / path.name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_systemd_finds_no_fault_in_the_units(units: Path) -> None:
    assert SERVICES == ["dtqs-api.service", "dtqs-migrate.service", "dtqs-worker.service"]
    done = analyze("verify", *(str(path) for path in units.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fault_in_a_unit_is_found(units: Path) -> None:
    worker = units / "dtqs-worker.service"
    worker.write_text(worker.read_text(encoding="utf-8") + "\n[Service]\nRestartSecs=1\n", encoding="utf-8")
    assert "'RestartSecs'" in analyze("verify", str(worker)).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardly_exposed(name: str) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(UNITS / name))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    assert float(level[1]) <= EXPOSURE_LIMIT
