"""Fixtures of video tests: a folder for their sources, and a run of the processor on them."""

from pathlib import Path

import pytest

from tests.support.films import Run, runner
from tests.support.fix_processors import Attempt


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def transcode(attempt: Attempt, sources: Path) -> Run:
    return runner(attempt, sources)
