"""Fixtures of the whole suite; each concern has its own file."""

import signal
import sys

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT for background commands, and the commands under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
    "tests.support.fix_browser",
    "tests.support.fix_mail",
]


@pytest.fixture(autouse=True)
def _current_time_of_the_gevent_loop() -> None:
    """Update the loop's clock, which stands still between two uses: a stale one ends joinall(timeout=…) at once."""
    if "gevent" in sys.modules and (hub := sys.modules["gevent._hub_local"].get_hub_if_exists()):
        hub.loop.update_now()
