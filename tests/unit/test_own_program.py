"""How a process executes its own program again."""

import os
import sys
from pathlib import Path

import pytest

from dtqs.own_program import execute, own_command


def test_a_script_is_started_by_its_path_which_may_lead_to_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, link = tmp_path / "version-2", tmp_path / "dtqs"
    script.write_text("#!/elsewhere/python\n")
    script.chmod(0o755)
    link.symlink_to(script)
    monkeypatch.setattr(sys, "orig_argv", ["/here/python", str(link), "supervisor", "--adopt", "7"])
    assert own_command() == [str(link), "supervisor"]


def test_a_module_is_started_by_the_same_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-P", "-m", "dtqs", "supervisor", "--config", "x.ini"])
    assert own_command() == [sys.executable, "-P", "-m", "dtqs", "supervisor", "--config", "x.ini"]


def test_a_program_that_cannot_be_executed_leaves_this_one_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "dtqs", "supervisor"])
    handover, lock = os.memfd_create("handover"), os.memfd_create("lock")
    with pytest.raises(FileNotFoundError):
        execute(handover, (lock,), {})
    assert not os.get_inheritable(lock)
    os.close(lock)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handover)
