"""What the commands about tasks share: the client and where it talks to, and their options."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from dtqs.cli.endpoint import Endpoint, find_endpoint
from dtqs.cli.options import configuration_path
from dtqs.client import Client
from dtqs.client.client import WAIT_SECONDS
from dtqs.errors import NotFound
from dtqs.suggestion import suggestion

wait_seconds_option = click.option(
    "--wait-seconds",
    type=click.FloatRange(min=0.1),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Wait no longer than this.",
)


@dataclass(frozen=True, slots=True)
class Api:
    """The API that a command talks to."""

    client: Client
    endpoint: Endpoint


def refuse_unknown_type(client: Client, task_type: str | None) -> None:
    """Raise NotFound, with the known ones, for a task type that the API does not know; nothing fits it, whichever was meant."""
    known = client.task_types() if task_type is not None else ()
    if task_type is not None and task_type not in known:
        raise NotFound("task type", f"{task_type[:100]!r}{suggestion(task_type, known)}")


@contextmanager
def opened_api() -> Iterator[Api]:
    endpoint = find_endpoint(configuration_path())
    with Client(endpoint.url, endpoint.key, origin=endpoint.origin) as client:
        yield Api(client, endpoint)
