"""A plugin of pytest for bin/test-failover and bin/test-image: a run with skipped tests fails.

They promise all their tests, and a machine that lacks something would pass otherwise. DTQS_TEST_MAY_SKIP=1 allows it.
"""

import os
from collections.abc import Generator

import pytest

VARIABLE = "DTQS_TEST_MAY_SKIP"
EX_SKIPPED = os.EX_UNAVAILABLE


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _skipped(session.config) and not os.environ.get(VARIABLE):
        session.exitstatus = EX_SKIPPED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, None, None]:
    yield  # pytest lists the tests with their reasons
    if number := _skipped(config):
        fails = "allowed" if os.environ.get(VARIABLE) else f"so this run fails; {VARIABLE}=1 allows it"
        terminalreporter.write_line(f"skipped: {number} of the promised tests, {fails}. The reasons are above.")


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter else 0
