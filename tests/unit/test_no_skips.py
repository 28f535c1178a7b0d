"""Runs of bin/test-failover and bin/test-image that skip a test fail, unless the caller allows it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.no_skips import EX_SKIPPED, VARIABLE
from tests.support.source import ROOT


@pytest.mark.parametrize(
    ("test", "may_skip", "status", "said"),
    [
        ("pass", "", 0, ""),
        ("pytest.skip('no nftables')", "", EX_SKIPPED, f"1 of the promised tests, so this run fails; {VARIABLE}=1"),
        ("pytest.skip('no nftables')", "1", 0, "1 of the promised tests, allowed"),
        ("assert False", "", 1, ""),
    ],
)
def test_a_run_with_a_skipped_test_fails(tmp_path: Path, test: str, may_skip: str, status: int, said: str) -> None:
    (tmp_path / "test_one.py").write_text(f"import pytest\n\ndef test_one():\n    {test}\n", encoding="utf-8")
    arguments = ["-p", "tests.support.no_skips", "-p", "no:cacheprovider", "-c", os.devnull, "-rs", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env={**os.environ, VARIABLE: may_skip},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("skipped:" in done.stdout, said in done.stdout) == (bool(said), True)
    assert ("no nftables" in done.stdout.partition("skipped:")[0]) == bool(said), "the reason comes first"
