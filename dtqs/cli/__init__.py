"""The command line: the group `main`. A command is imported only when it runs, so that --help is quick."""

import errno
import gc
import importlib
import json
import os
import sys
from typing import Any

import click

from dtqs import __version__
from dtqs.cli.options import (
    EX_REFUSED,
    INTERRUPTED,
    add_config_option,
    config_option,
    exit_status,
    suggesting,
    wants_json,
)
from dtqs.cli.unread import discard_output, may_be_unread
from dtqs.errors import DtqsError
from dtqs.log import visible

COMMANDS = {
    "up": ("dtqs.cli.up", "Start a private PostgreSQL, RabbitMQ, API and supervisor in ./var."),
    "down": ("dtqs.cli.down", "Stop the servers that `dtqs up` started."),
    "submit": ("dtqs.cli.submit", "Submit a task. --wait follows it to its end."),
    "task": ("dtqs.cli.task", "Show one task."),
    "tasks": ("dtqs.cli.tasks", "List tasks."),
    "logs": ("dtqs.cli.logs", "Show the log of a task, or of all tasks. --follow prints new rows."),
    "cancel": ("dtqs.cli.cancel", "Cancel tasks by id, or all tasks that match."),
    "retry": ("dtqs.cli.retry", "Submit failed or cancelled tasks again, by id or all that match."),
    "mails": ("dtqs.cli.mails", "Show the e-mails of a sandbox. It keeps them in a folder."),
    "console": ("dtqs.cli.console", "Watch the system on this terminal; cancel and retry tasks."),
    "top": ("dtqs.cli.top", "Show the whole system on one live page."),
    "workers": ("dtqs.cli.workers", "List the worker processes and their tasks."),
    "queue": ("dtqs.cli.queue", "Show the backlog and the next tasks."),
    "doctor": ("dtqs.cli.doctor", "Check every part of the system, with advice for each failure."),
    "migrate": ("dtqs.cli.migrate", "Bring the schema of the database to this version."),
    "key": ("dtqs.cli.key", "Create, list, change and revoke API keys."),
    "config": ("dtqs.cli.config", "Check and show the configuration."),
    "completion": ("dtqs.cli.completion", "Print the completion script for a shell."),
    "api": ("dtqs.cli.api", "Run the HTTP API and the dashboard."),
    "supervisor": ("dtqs.cli.supervisor", "Run the workers and the keeper of this node."),
    "keeper": ("dtqs.cli.keeper", "Run only the keeper of this node, without workers."),
    "health": ("dtqs.cli.health", "Tell a probe whether this node is well."),
    "ctl": ("dtqs.cli.ctl", "Command the running supervisor: status, reload, drain, resume, grow, shrink, kill."),
}
"""The module and the help line of each command."""
GROUPS = (
    ("Try it", ("up", "down")),
    ("Tasks, over the API", ("submit", "task", "tasks", "logs", "cancel", "retry", "mails")),
    ("Watch the system", ("console", "top", "workers", "queue", "doctor")),
    ("Set it up", ("migrate", "key", "config", "completion")),
    ("Run it", ("api", "supervisor", "keeper", "health", "ctl")),
)
EXAMPLES = """\
dtqs submit echo greeting=hello --wait
dtqs submit image source=@photo.jpg --wait
dtqs tasks --status failed
dtqs retry --failed --type image
dtqs logs --follow --level warning
dtqs top
""".splitlines()

NOTES = (
    (
        "Configuration",
        "The configuration file is --config, DTQS_CONFIG, ./var/dtqs.ini or /etc/dtqs/dtqs.ini: the first that exists. "
        "Commands over the API use the URL DTQS_URL and the key DTQS_API_KEY, or else client.env beside the "
        "configuration file. The other commands connect to PostgreSQL and RabbitMQ.",
    ),
    (
        "Output",
        "Tables on a terminal, plain columns elsewhere, JSON with --json. Only a terminal gets colours, and NO_COLOR "
        "turns them off. Progress and errors go to standard error.",
    ),
    (
        "Exit status",
        "0 done; 1 the task or a check failed; 2 wrong usage, or refused; 3 the task was cancelled; 69 a server cannot "
        "be reached; 74 the output cannot be written; 75 try again later; 77 the API key is missing or not allowed to "
        "do this; 78 the configuration is wrong; 130 Ctrl-C.",
    ),
)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a write to standard output. An error that names a file comes from elsewhere."""


_FORKING = ("api", "supervisor", "keeper")
"""Commands that turn the collector on themselves, when they have loaded everything and before they fork."""


class LazyGroup(click.Group):
    """A group that imports a command when it runs, and not to show its help line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: Any = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        if cmd_name not in _FORKING:
            gc.enable()
        assert isinstance(command, click.Command)
        add_config_option(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return suggesting(super().resolve_command, self.list_commands(ctx), ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in _FULL or error.filename is not None:
                raise
            discard_output()
            click.echo(f"standard output cannot be written: {error.strerror}", err=True)
            sys.exit(os.EX_IOERR)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # an error at the interpreter's end could not be reported
        except BrokenPipeError:  # the reader has read enough, as in `| head`
            discard_output()
            sys.exit(os.EX_OK)
        except DtqsError as error:
            if wants_json(ctx) and (problem := getattr(error, "problem", None)):
                with may_be_unread():
                    click.echo(json.dumps(problem, indent=2))
            for line in str(error).splitlines():
                click.echo(visible(line), err=True)
            sys.exit(exit_status(error))
        except PermissionError as error:
            if error.filename is None:
                raise
            click.echo(f"{visible(os.fsdecode(error.filename))}: {error.strerror}", err=True)
            sys.exit(os.EX_NOPERM)
        except UnicodeEncodeError as error:
            # Python's stand-ins for bytes of an argument or a file name that are no UTF-8
            if not any("\udc80" <= character <= "\udcff" for character in str(error.object)):
                raise
            click.echo(f"{str(error.object)[:100]!a} is not UTF-8 text", err=True)
            sys.exit(EX_REFUSED)
        except (KeyboardInterrupt, click.Abort):
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS:
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for line in EXAMPLES:
                formatter.write(f"  {line}\n")
        for title, text in NOTES:
            with formatter.section(title):
                formatter.write_text(text)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dtqs")
@config_option
def main() -> None:
    """DTQS, a durable task queue.

    Clients submit tasks over HTTP, PostgreSQL stores them, and worker processes run them. Each task ends in exactly one
    outcome.

    `dtqs COMMAND --help` explains a command, with examples.
    """
