"""What the commands about tasks share: the API they talk to, and their options."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dtqs.cli.calls import Api
from dtqs.cli.endpoint import find_endpoint
from dtqs.cli.options import configuration_path

WAIT_SECONDS = 3600.0
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
wait_seconds_option = click.option(
    "--wait-seconds", type=click.FloatRange(min=0.1), default=WAIT_SECONDS, show_default=True, metavar="SECONDS", help="Wait no longer than this."
)


@contextmanager
def opened_api() -> Iterator[Api]:
    with Api(find_endpoint(configuration_path())) as api:
        yield api


def checked_id(text: str) -> str:
    """Refuse what would lead to another path of the API."""
    if not text or not all(c.isalnum() or c == "-" for c in text):
        raise click.BadParameter(f"{text!r} is no task id", param_hint="ID")
    return text
