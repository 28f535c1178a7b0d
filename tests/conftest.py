"""Fixtures of the whole suite; each concern has its own file."""

import signal

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
