"""Shared by `cancel` and `retry`: choose tasks by id, or by status, type and tag, and change each in turn."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

import click

from dtqs.amounts import plural
from dtqs.cli.options import EX_REFUSED, INTERRUPTED, exit_status, json_option
from dtqs.cli.output import print_json
from dtqs.cli.tasks_options import opened_api, refuse_unknown_type
from dtqs.cli.unread import may_be_unread
from dtqs.client import ApiRefusal, Client
from dtqs.errors import RequestError
from dtqs.log import visible
from dtqs.task import Status

F = TypeVar("F", bound=Callable[..., Any])
CHOSEN_LIMIT = 100_000
BULK_STATUSES = (
    "Exit status: 0 all done, 2 one or more were refused (the task has ended, or does not exist), 130 Ctrl-C, or the "
    "question was not answered with yes; others as for submit."
)


def choosing(function: F) -> F:
    """Add the options that choose tasks, --yes and --json to a command."""
    for option in (
        json_option,
        click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation."),
        click.option(
            "--limit",
            type=click.IntRange(1, CHOSEN_LIMIT),
            default=1000,
            show_default=True,
            help="Maximum number of tasks to change.",
        ),
        click.option("--tag", help="Only tasks with this tag."),
        click.option("--type", "task_type", metavar="TYPE", help="Only tasks of this type."),
    ):
        function = option(function)
    return function


def change(
    verb: str,
    task_ids: Sequence[str],
    statuses: Sequence[Status],
    flags: str,
    ask: Callable[[Client, str], dict[str, Any]],
    choice: dict[str, Any],
) -> None:
    """Find the chosen tasks, ask for confirmation on a terminal, change each, and exit with the status."""
    if bool(task_ids) == bool(statuses):
        raise click.UsageError(f"give the ids of tasks, or choose tasks with {flags}")
    if task_ids and (choice["task_type"] or choice["tag"]):
        raise click.UsageError(f"--type and --tag need {flags}")
    with opened_api() as api:
        chosen, more = (task_ids, False) if task_ids else _chosen(api.client, statuses, choice, verb == "retry")
        if not chosen:
            refuse_unknown_type(api.client, choice["task_type"])
            click.echo("no task matches", err=True)
        elif statuses and not choice["yes"] and sys.stdin.isatty():
            confirm(question(verb, len(chosen), more))
        elif more:
            click.echo(f"more tasks match than --limit {choice['limit']}", err=True)
        sys.exit(_each(verb, api.client, chosen, ask, choice["as_json"]))


def confirm(words: str) -> None:
    """Ask a question on the terminal. Exit with the status of Ctrl-C unless the answer is yes."""
    try:
        is_sure = click.confirm(words, err=True)
    except click.Abort:  # Ctrl-C or Ctrl-D: the cursor stands behind the question
        click.echo(err=True)
        is_sure = False
    if not is_sure:
        click.echo("nothing was changed", err=True)
        sys.exit(INTERRUPTED)


def question(verb: str, count: int, more: bool) -> str:
    """Word the confirmation. `more`: tasks beyond the limit match too."""
    return f"{verb} {plural(count, 'task')}{', and leave other tasks that match (--limit)' if more else ''}?"


def _chosen(
    client: Client, statuses: Sequence[Status], choice: dict[str, Any], unretried: bool
) -> tuple[list[str], bool]:
    """Return the ids of the tasks that match, up to the limit, and whether more match.

    All ids are read before the first change: a changed task moves to another listing. A retried task does not, so a
    repetition would find the same tasks without `unretried`.
    """
    found = (
        task
        for status in statuses
        for task in client.tasks(
            status=status, task_type=choice["task_type"], tag=choice["tag"], retried="no" if unretried else None
        )
    )
    try:
        ids = [task.task_id for task in islice(found, choice["limit"] + 1)]
    except ApiRefusal as error:
        if not (unretried and error.status == HTTPStatus.UNPROCESSABLE_ENTITY):
            raise
        return _chosen(client, statuses, choice, unretried=False)  # an API of an earlier version
    return ids[: choice["limit"]], len(ids) > choice["limit"]


def _each(
    verb: str, client: Client, task_ids: Sequence[str], ask: Callable[[Client, str], dict[str, Any]], as_json: bool
) -> int:
    """Change each task in turn, and return the exit status. A refused task sets the status; the rest goes on."""
    status, answers = 0, list[Any]()
    shown = sys.stderr.isatty() and not sys.stdout.isatty() and len(task_ids) > 1
    with _printed(answers if as_json else None), click.progressbar(task_ids, file=sys.stderr, hidden=not shown) as bar:
        for answer in _answers(bar, client, ask):
            if isinstance(answer, RequestError):
                # a key that may not do this is graver than a task that has ended
                status = status if status not in (0, EX_REFUSED) else exit_status(answer)
                continue
            answers.append(answer)
            if not as_json:
                _print(_line(verb, answer))
    return status


@contextmanager
def _printed(answers: list[Any] | None) -> Iterator[None]:
    """Print the answers as JSON at every kind of end, also after an outage or Ctrl-C: these tasks are changed."""
    try:
        yield
    finally:
        if answers is not None:
            with may_be_unread():
                print_json(answers)


def _answers(
    task_ids: Iterable[str], client: Client, ask: Callable[[Client, str], dict[str, Any]]
) -> Iterator[dict[str, Any] | RequestError]:
    """Change each task, and yield the answer. Report each refusal, and yield it too."""
    for task_id in task_ids:
        try:
            yield ask(client, task_id)
        except RequestError as error:
            click.echo(f"{task_id}: {visible(str(error))}", err=True)
            yield error


def _print(line: str) -> None:
    with may_be_unread():
        click.echo(line)


def _line(verb: str, task: dict[str, Any]) -> str:
    """Format the new status of a task. A running task is cancelled only when its worker has let go of it."""
    running = verb == "cancel" and task["status"] == Status.IN_PROGRESS
    return f"{task['task_id']} {task['status']}{' (is being interrupted)' if running else ''}"
