"""Chromium, for what only a browser can tell."""

import pytest

from tests.browser import find_chromium


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program; tests that want it are skipped where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium-headless-shell (64 MB), to test in a browser")
    return program
