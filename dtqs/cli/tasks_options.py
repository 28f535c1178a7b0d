"""Shared by the commands over the API: the client and its endpoint, and --wait-seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from dtqs.cli.endpoint import Endpoint, find_endpoint
from dtqs.cli.options import Seconds, configuration_path
from dtqs.cli.terminated import unwound_by_sigterm
from dtqs.client import Client
from dtqs.client.client import WAIT_SECONDS
from dtqs.errors import NotFound
from dtqs.suggestion import suggestion

wait_seconds_option = click.option(
    "--wait-seconds",
    type=Seconds(0.1, is_endless=True),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait; inf: no limit.",
)


@dataclass(frozen=True, slots=True)
class Api:
    """The client of a command and the endpoint that it uses."""

    client: Client
    endpoint: Endpoint


def refuse_unknown_type(client: Client, task_type: str | None) -> None:
    """Raise NotFound, with the known task types, if the API does not know this one. None: no type was given."""
    known = client.task_types() if task_type is not None else ()
    if task_type is not None and task_type not in known:
        raise NotFound("task type", f"{task_type[:100]!r}{suggestion(task_type, known)}")


@contextmanager
def opened_api() -> Iterator[Api]:
    """Open a client of the configured API for the length of a command."""
    endpoint = find_endpoint(configuration_path())
    with unwound_by_sigterm(), Client(endpoint.url, endpoint.key, origin=endpoint.origin) as client:
        yield Api(client, endpoint)
