"""What the commands about tasks share: the client and where it talks to, and their options."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from dtqs.cli.endpoint import Endpoint, find_endpoint
from dtqs.cli.options import configuration_path
from dtqs.client import Client
from dtqs.client.client import WAIT_SECONDS

wait_seconds_option = click.option(
    "--wait-seconds", type=click.FloatRange(min=0.1), default=WAIT_SECONDS, show_default=True, metavar="SECONDS", help="Wait no longer than this."
)


@dataclass(frozen=True, slots=True)
class Api:
    """The API that a command talks to."""

    client: Client
    endpoint: Endpoint


@contextmanager
def opened_api() -> Iterator[Api]:
    endpoint = find_endpoint(configuration_path())
    with Client(endpoint.url, endpoint.key, origin=endpoint.origin) as client:
        yield Api(client, endpoint)
