"""Check the sandbox, RabbitMQ, the API and the object storage."""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dtqs.amounts import plural
from dtqs.bare_httpx import httpx
from dtqs.broker.checkup import hosts_seconds, impatient, other_arguments, write_refusal
from dtqs.broker.look_link import LookLink
from dtqs.broker.queue import QueueLook
from dtqs.broker.topology import is_quorum
from dtqs.cli.checks.check import FAILED, OK, WARNING, Check, skipped
from dtqs.cli.endpoint import Endpoint
from dtqs.client.connections import open_http
from dtqs.config import Config
from dtqs.deadline import Deadline
from dtqs.errors import BrokerUnavailable, ConfigError, FilesUnavailable
from dtqs.files import FileSpace
from dtqs.routes import QUEUE
from dtqs.sandbox.places import SandboxPaths
from dtqs.sandbox.processes import running
from dtqs.shown_url import shown_url

_API_SECONDS = 5.0
_OLDEST = (3, 10)
"""The first version of RabbitMQ that DTQS is made for."""
_AWAY = "is it running, and is [rabbitmq] url right? see: dtqs config show. Tasks are accepted and wait until then"
_LOOK_SECONDS = 10.0
"""Time limit of the look at the queues, once a host of RabbitMQ answers."""
_STANDS_STILL = "start the nodes of the cluster that are down; tasks are accepted and wait until then"
_KEEPS_TYPE = "RabbitMQ cannot change a queue: delete it once, and a keeper makes it again (docs/servers.md, Queues)"
_GOES_ON = "Quorum queues go on without one node: queue_type = quorum in [rabbitmq]"


def sandbox(path: Path | None) -> Check | None:
    """Check that the sandbox of this configuration runs. None: the configuration is not a sandbox's."""
    if path is None or not SandboxPaths(path.parent).ports.exists():
        return None
    places = SandboxPaths(path.parent.absolute())
    if pid := running(places.pid_file("sandbox")):
        return Check("sandbox", OK, f"{places.var} runs, process {pid}")
    return Check("sandbox", FAILED, f"{places.var} is stopped", f"start it: {start_command(places.var)}")


def start_command(var: Path) -> str:
    """Return the command that starts the sandbox in a folder from here."""
    return "dtqs up" if var == Path("var").absolute() else f"dtqs up --var {os.path.relpath(var)}"


def rabbitmq(config: Config) -> Iterator[Check]:
    """Check the broker and its queues."""
    try:
        refusal = write_refusal(config.rabbitmq, "dtqs doctor")
        section = impatient(config.rabbitmq)
        with closing(LookLink(section, "dtqs doctor")) as link:
            look = link.look(Deadline(hosts_seconds(section) + _LOOK_SECONDS), config.routes.queues)
        serving = [name for name, state in look.queues.items() if state is not None]
        others = other_arguments(section, "dtqs doctor", look.version, serving)
    except BrokerUnavailable as error:
        yield Check("RabbitMQ", FAILED, str(error).removeprefix("RabbitMQ: "), _AWAY)
        yield from skipped(["queue"], "RabbitMQ")
        return
    yield _broker(look.version, refusal)
    kind = "quorum" if is_quorum(config.rabbitmq, {"version": look.version}) else "classic"
    for name, state in look.queues.items():
        yield _queue(kind, name, state, look.down.get(name), others.get(name))


def _broker(version: str, refusal: str | None) -> Check:
    if refusal is not None:
        advice = "give its user the permissions: rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"
        return Check("RabbitMQ", FAILED, f"reachable, but refuses messages: {refusal}", advice)
    if (number := re.match(r"(\d+)\.(\d+)", version)) and (int(number[1]), int(number[2])) < _OLDEST:
        return Check("RabbitMQ", FAILED, f"version {version}", "install RabbitMQ {}.{} or later".format(*_OLDEST))
    return Check("RabbitMQ", OK, "reachable, and accepts messages")


def _queue(kind: str, name: str, look: QueueLook | None, standstill: str | None, difference: str | None) -> Check:
    """Check one queue. `kind`: the type of a queue that DTQS makes on this broker."""
    part = "queue" if name == QUEUE else f"queue {name}"
    if standstill is not None:
        advice = _STANDS_STILL if kind == "quorum" else f"{_STANDS_STILL}. {_GOES_ON}"
        return Check(part, FAILED, standstill, advice)
    if look is None:
        advice = "start a supervisor: it declares the queue and publishes all due tasks again"
        return Check(part, FAILED, f"{name} is missing", advice)
    counts = f"{look.ready} ready, {plural(look.consumers, 'consumer')}"
    if difference is not None:
        found = f"{counts}; {name} was not made with queue_type = {kind}: {difference}"
        return Check(part, WARNING, found, _KEEPS_TYPE)
    return Check(part, OK, counts)


def api(endpoint: Endpoint) -> Iterator[Check]:
    """Check that the API is ready. A failure is a warning, since a node may run workers alone."""
    shown = shown_url(endpoint.url)
    try:
        with open_http(endpoint.url, timeout=_API_SECONDS) as client:
            answer = client.get("/readyz")
    except (httpx.HTTPError, ConfigError) as error:
        found = f"{shown}: {error or type(error).__name__}"
        yield Check("API", WARNING, found, "if it should run here: dtqs api, or dtqs up")
        return
    if answer.status_code == 200 and _is_ours(answer):
        yield Check("API", OK, f"{shown} is ready")
    elif answer.status_code < 400:
        found = f"{shown} answers {answer.status_code}, but not as the API does"
        yield Check("API", WARNING, found, f"is this its URL ({endpoint.origin}), or does a proxy answer in its place?")
    else:
        yield Check("API", WARNING, f"{shown} answers {answer.status_code}{_reason(answer)}", "see its log")


def _is_ours(answer: httpx.Response) -> bool:
    """Tell the API's answer from a page of another program on that address."""
    try:
        return bool(answer.json()["status"] == "ready")
    except (ValueError, LookupError, TypeError):
        return False


def _reason(answer: httpx.Response) -> str:
    """Return the reason that the API gives for not being ready; empty if it gives none."""
    try:
        return f": {answer.json()['reason']}"
    except (ValueError, LookupError, TypeError):
        return ""


def storage(config: Config) -> Iterator[Check]:
    """Check that the bucket is reachable, if uploads and outputs are in object storage."""
    if config.files.store != "s3":
        return
    place = f"{config.files.s3_endpoint or 'Amazon S3'}: {config.files.s3_bucket}"
    try:
        with closing(FileSpace(config.files)) as space:
            space.look()
    except (FilesUnavailable, ConfigError) as error:
        advice = "is it running, and are the s3_… keys of [files] right? Files cannot be stored or read until then"
        yield Check("object storage", FAILED, f"{place}: {error}", advice)
        return
    yield Check("object storage", OK, place)
