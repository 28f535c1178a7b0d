"""The command `doctor`: every check in a table with advice for each failure, and the audit that no task is lost."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial

import click

from dtqs.cli.checks import machine, senders, servers
from dtqs.cli.checks.check import FAILED, OK, WARNING, Check, skipped
from dtqs.cli.checks.jail import jail
from dtqs.cli.checks.postgresql import postgresql
from dtqs.cli.drivers import refuse_unusable_addresses
from dtqs.cli.endpoint import find_endpoint
from dtqs.cli.options import configuration, configuration_path, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.cli.store import opened_store
from dtqs.cli.terminated import unwound_by_sigterm
from dtqs.config import Config, mixed_queues
from dtqs.errors import ConfigError
from dtqs.processors.catalog import Catalog
from dtqs.store import Store
from dtqs.store.audit import Violation

AUDIT_BATCH, AUDITORS = 20_000, 4
"""Tasks of one statement of the audit, and the number of statements at the same time."""
BAR_STEPS = 1000
SHOWN_LIMIT = 1000
"""Most violations that are listed. All are counted."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The audit of a part of all tasks: the first violations, the number of all. `progress` is 1 at the end."""

    listed: list[Violation]
    count: int
    tasks: int
    progress: float


@click.command()
@click.option(
    "--audit",
    is_flag=True,
    help="Instead, check that every task without an outcome is in exactly one place. Safe at any time.",
)
@json_option
def doctor(audit: bool, as_json: bool) -> None:
    """Check every part of the system, with advice for each failure.

    Exit status: 0 no check failed (warnings do not count), 1 a check failed.

    \b
      dtqs doctor
      dtqs doctor --audit
      dtqs doctor --json | jq '.checks[] | select(.state != "ok")'
    """
    sys.exit(_audit(configuration(needed=True), as_json) if audit else _check(as_json))


def _check(as_json: bool) -> int:
    found = list(_all_checks())
    failed = any(check.state == FAILED for check in found)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in found]})
    else:
        show_checks(found)
    return 1 if failed else 0


def show_checks(found: Sequence[Check]) -> None:
    print_table(
        ("part", "state", "found", "advice"),
        [(check.part, check.state, check.found, check.advice) for check in found],
    )


def _all_checks() -> Iterator[Check]:
    try:
        config = configuration(needed=True)
        refuse_unusable_addresses(config)
        catalog = Catalog.load(config)
    except ConfigError as error:
        for problem in error.problems:
            yield Check("configuration", FAILED, problem, "edit the file, then run: dtqs config check")
        yield from skipped(
            ["PostgreSQL", "RabbitMQ", "API", "ffmpeg", "ffprobe", "files", "state"], "the configuration"
        )
        return
    yield Check("configuration", OK, str(config.path or "no file: defaults and environment"))
    yield Check("task types", OK, f"{', '.join(catalog.names())}; installed in {sys.prefix}")
    for words in mixed_queues(config.pools, config.routes, catalog.names()):
        yield Check("pools", WARNING, words)
    yield from _servers(config, catalog.names())
    yield from machine.programs(config)
    yield from jail(config)
    yield from servers.storage(config)
    yield from senders.mail_server(config)
    yield from senders.sms_provider(config)
    yield from machine.disks(config)
    yield from machine.signing(config)


def _api() -> Iterator[Check]:
    try:
        endpoint = find_endpoint(configuration_path())
    except ConfigError as error:
        yield Check("API", WARNING, "; ".join(error.problems), "commands over the API need its address")
        return
    yield from servers.api(endpoint)


def _servers(config: Config, task_types: Sequence[str]) -> Iterator[Check]:
    """Check PostgreSQL, RabbitMQ and API. If the sandbox is stopped, its start is the advice for each of them."""
    sandbox = servers.sandbox(config.path)
    if sandbox:
        yield sandbox
    for check in itertools.chain(postgresql(config, task_types), servers.rabbitmq(config), _api()):
        yield (
            replace(check, advice=sandbox.advice)
            if sandbox and sandbox.state == FAILED and check.state != OK
            else check
        )


def _audit(config: Config, as_json: bool) -> int:
    violations: list[Violation] = []
    count = checked = 0
    with (
        unwound_by_sigterm(),
        click.progressbar(length=BAR_STEPS, label="auditing", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar,
    ):
        for part in _audit_parts(config):
            count, checked = count + part.count, checked + part.tasks
            violations += part.listed[: SHOWN_LIMIT - len(violations)]
            bar.update(max(0, int(part.progress * BAR_STEPS) - bar.pos))
    if as_json:
        print_json(
            {
                "ok": count == 0,
                "tasks": checked,
                "violations": count,
                "listed": [asdict(violation) for violation in violations],
            }
        )
        return 1 if count else 0
    if violations:
        print_table(("task", "violation"), [(violation.task_id, violation.words) for violation in violations])
    click.echo(
        f"{count} violations of the rule that a task without an outcome is in exactly one place; "
        f"{checked} tasks checked"
    )
    return 1 if count else 0


def _audit_parts(config: Config) -> Iterator[_Part]:
    """Audit the parts of all tasks, some at the same time, and yield them in their order."""
    with opened_store(config, "dtqs doctor", AUDITORS) as store:
        parts = store.audit.parts()
        auditors = ThreadPoolExecutor(AUDITORS)
        try:
            for number, (found, count, tasks) in enumerate(auditors.map(partial(_audit_part, store), parts), 1):
                yield _Part(found, count, tasks, number / len(parts))
        finally:
            auditors.shutdown(cancel_futures=True)
        strays = store.audit.strays()
        yield _Part(strays, len(strays), 0, 1.0)


def _audit_part(store: Store, part: tuple[str, str]) -> tuple[list[Violation], int, int]:
    """Return the first violations in a part, the number of all, and the number of its tasks."""
    after: str | None
    (after, until), listed, count, tasks = part, list[Violation](), 0, 0
    while after is not None:
        batch = store.audit.batch(after, AUDIT_BATCH, until)
        listed += batch.violations[: SHOWN_LIMIT - len(listed)]
        count, tasks, after = count + len(batch.violations), tasks + batch.tasks, batch.after
    return listed, count, tasks
