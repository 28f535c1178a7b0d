"""The check of a reload, in a fresh process."""

import os
import sys

import pytest

from dtqs.supervisor.again import DOUBT, ReloadCheck
from dtqs.supervisor.reaping import End


@pytest.mark.parametrize(
    ("program", "problem", "doubt"),
    [
        (f"print('import noise\\n{DOUBT}nobody answers')", None, "nobody answers"),
        ("print('import noise')", None, ""),
        ("import sys; sys.exit('error: [api] port = many')", "[api] port = many", ""),
    ],
)
def test_a_check_tells_a_problem_or_what_it_could_not_look_at(
    program: str, problem: str | None, doubt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", program])
    check = ReloadCheck("", 0.0, 60.0)
    _, status = os.waitpid(check.pid, 0)
    assert check.problem(End(check.pid, os.waitstatus_to_exitcode(status))) == problem
    assert check.doubt == doubt
