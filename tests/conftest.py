"""Fixtures of the whole suite; each concern has its own file."""

import functools
import signal
import sys
from typing import Any

import httpx._transports.default as httpx_transports
import pytest

from tests.support.outside import OUTSIDE, remove_variables

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT for background commands, and the commands under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each client reads the certificates of the machine, for 0.1 s; the tests make thousands of clients.
_transports: Any = httpx_transports
_transports.create_ssl_context = functools.cache(_transports.create_ssl_context)

pytest_plugins = [
    "tests.support.fix_servers",
    "tests.support.fix_system",
    "tests.support.fix_trial",
    "tests.support.fix_store",
    "tests.support.fix_processors",
    "tests.support.fix_api",
    "tests.support.fix_site",
    "tests.support.fix_aws",
    "tests.support.fix_s3",
    "tests.support.fix_images",
    "tests.support.fix_films",
    "tests.support.fix_browser",
    "tests.support.fix_mail",
]


@pytest.fixture(autouse=True)
def _current_time_of_the_gevent_loop() -> None:
    """Update the loop's clock, which stands still between two uses: a stale one ends joinall(timeout=…) at once."""
    if "gevent" in sys.modules and (hub := sys.modules["gevent._hub_local"].get_hub_if_exists()):
        hub.loop.update_now()


_BACKENDS = frozenset(f"{kind}{name}" for kind in ("", "own_", "mortal_") for name in ("postgres", "rabbitmq"))
"""Fixtures that are a server's processes and files, not only its address."""


def pytest_configure(config: pytest.Config) -> None:
    # a run in several processes hands the variables on to them
    if not getattr(config.option, "numprocesses", None):
        remove_variables()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that kill, freeze or set up a server. With servers of others (outside.py) these do not run."""
    # a cell of bin/test-matrix lends its own servers to the tests that kill some
    private = _BACKENDS - {"mortal_postgres", "mortal_rabbitmq"} if OUTSIDE.control else _BACKENDS
    theirs = [item for item in items if private & set(getattr(item, "fixturenames", ()))]
    for item in theirs:
        item.add_marker("backend")
    left_out = (["backend"] if OUTSIDE.are_given else []) + (["session"] if OUTSIDE.pgbouncer else [])
    if out := [item for item in items if any(map(item.get_closest_marker, left_out))]:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
