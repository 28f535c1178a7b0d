"""Fixtures of the whole suite; each concern has its own file."""

pytest_plugins = [
    "tests.fix_servers",
    "tests.fix_system",
    "tests.fix_trial",
    "tests.fix_store",
    "tests.fix_processors",
    "tests.fix_api",
    "tests.fix_site",
    "tests.fix_s3",
    "tests.fix_images",
    "tests.fix_browser",
    "tests.fix_mail",
]
