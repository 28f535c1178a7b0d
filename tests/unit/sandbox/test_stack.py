"""The restarts of the sandbox's parts."""

import itertools
import sys
import time
from pathlib import Path

from dtqs.sandbox.child import Program, SandboxProcess
from dtqs.sandbox.stack import StackPart


def test_a_part_that_never_lives_long_is_tried_again_without_end(tmp_path: Path) -> None:
    child = SandboxProcess("api", tmp_path / "api.pid", tmp_path / "api.log", death_signal="KILL")
    now = time.monotonic()
    part = StackPart(Program(child, [sys.executable], {}), started_at=now)
    delays: list[float] = []
    for deaths in itertools.chain(range(6), (2000, 100_000)):
        part.deaths, part.restart_at = deaths, None
        assert "died" in part.look_after(now)
        assert part.restart_at is not None
        delays.append(round(part.restart_at - now, 3))
    assert delays == [0.5, 1, 2, 4, 8, 10, 10, 10]
