"""docs/processors.md, typed as printed: from an empty folder to a completed task, and a processor's own tests."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtqs.sandbox.ports import free_ports
from dtqs.testing import run

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = (_ROOT / "docs/processors.md").read_text(encoding="utf-8")
_BIN = Path(sys.prefix, "bin")


def block(section: str, language: str) -> str:
    """Return the first block of code of a section of the page."""
    _, _, rest = _PAGE.partition(f"## {section}\n")
    found = re.search(rf"```{language}\n(.*?)```", rest, re.DOTALL)
    assert found, section
    return found[1]


@pytest.fixture
def folder(servers_dir: Path) -> Iterator[Path]:
    """A folder with its own virtual environment, which also finds the packages of the test environment."""
    folder = servers_dir / "newcomer"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True, timeout=60)
    (site,) = folder.glob(".venv/lib/python*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages") and path.startswith(sys.prefix))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    shutil.copy(_BIN / "dtqs", folder / ".venv/bin/dtqs")
    (folder / ".venv/bin/pip").write_text((_BIN / "pip").read_text().replace(str(_BIN), str(folder / ".venv/bin")))
    (folder / ".venv/bin/pip").chmod(0o755)
    yield folder
    typed(folder, "dtqs down")


def typed(folder: Path, commands: str) -> str:
    """Type the commands into a shell in the folder; return the output of the last one."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DTQS_", "PYTHON", "PIP_"))
    }
    # setuptools is installed: the page must not need the package index
    environment |= {
        "PATH": f"{folder}/.venv/bin:{environment['PATH']}",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_page_leads_from_an_empty_folder_to_a_completed_task(folder: Path) -> None:
    commands = block("From an empty folder to a completed task", "sh")
    assert "dtqs up --detach\n" in commands
    # not 8080, which another program may use
    commands = commands.replace("dtqs up --detach\n", f"dtqs up --detach --workers 1 --api-port {free_ports(1)[0]}\n")
    assert re.search(r'\{\s*"words": 6\s*\}\s*$', typed(folder, commands))
    assert "count-words, echo" in typed(folder, "dtqs doctor || true")
    # the tests that the page shows, next to the package that it has made
    (folder / "test_words.py").write_text(block("Test a processor", "python"))
    assert "2 passed" in typed(folder, "python -m pytest -q -p no:cacheprovider test_words.py")


def test_the_pages_example_runs_its_program_in_the_jail() -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(block("The context", "python"), names)
    payload = {"source": "upload:018f6b2e-4a57-7c31-9d2e-5b8f0a6c1d42"}
    inputs: dict[str, bytes | Path] = {payload["source"]: b"1234567"}
    assert run(names["measure"], payload, inputs=inputs).result == {"size_bytes": 7}
    # a program that reads elsewhere is stopped by the jail
    held = Path("/usr/bin/head")
    names |= {"WC": held, "subprocess": Swapped([str(held), "-c", "1", "/etc/passwd"])}
    attempt = run(names["measure"], payload, inputs=inputs)
    assert attempt.settled == "failed"
    assert "Permission denied" in str(attempt.error)


class Swapped:
    """Stands for `subprocess` and runs its own command instead of the given one."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def run(self, _: object, **options: Any) -> Any:
        return subprocess.run(self._command, **options)
