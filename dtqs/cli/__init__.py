"""The command line: the group `main`, which imports a command only when it is called for, so that `dtqs --help` is quick."""

import errno
import importlib
import json
import os
import signal
import sys
from typing import Any

import click

from dtqs import __version__
from dtqs.cli.options import add_config_option, config_option, exit_status, suggesting, wants_json
from dtqs.cli.unread import discard_output
from dtqs.errors import DtqsError
from dtqs.log import visible

COMMANDS = {
    "up": ("dtqs.cli.up", "Start a private PostgreSQL, RabbitMQ, API and supervisor below ./var."),
    "down": ("dtqs.cli.up", "Stop what `dtqs up` started."),
    "submit": ("dtqs.cli.submit", "Submit a task; with --wait, follow it to its end."),
    "task": ("dtqs.cli.task", "Show one task."),
    "tasks": ("dtqs.cli.tasks", "List tasks."),
    "logs": ("dtqs.cli.logs", "Show the log of a task, or of all tasks; --follow goes on."),
    "cancel": ("dtqs.cli.cancel", "Cancel tasks, by id or all that fit."),
    "retry": ("dtqs.cli.retry", "Submit failed or cancelled tasks anew, by id or all that fit."),
    "mails": ("dtqs.cli.mails", "Show the mails of a sandbox, which are kept in a folder."),
    "console": ("dtqs.cli.console", "Watch the system on this terminal, and act on its tasks."),
    "top": ("dtqs.cli.top", "Show the whole system on one page, live."),
    "workers": ("dtqs.cli.workers", "List the worker processes and what each does."),
    "queue": ("dtqs.cli.queue", "Show what waits, and what is next."),
    "doctor": ("dtqs.cli.doctor", "Check every part of the system; say what to do about each failure."),
    "migrate": ("dtqs.cli.migrate", "Bring the schema of the database to this version."),
    "key": ("dtqs.cli.key", "Make, list, change and revoke API keys."),
    "config": ("dtqs.cli.config", "Check and show the configuration."),
    "completion": ("dtqs.cli.completion", "Print the completion of commands for a shell."),
    "api": ("dtqs.cli.api", "Run the HTTP API, with the dashboard."),
    "supervisor": ("dtqs.cli.supervisor", "Run the workers and the keeper of this node."),
}
"""Each command's module and its line of help."""
GROUPS = (
    ("Try it", ("up", "down")),
    ("Tasks, over the API", ("submit", "task", "tasks", "logs", "cancel", "retry", "mails")),
    ("Watch the system", ("console", "top", "workers", "queue", "doctor")),
    ("Set it up", ("migrate", "key", "config", "completion")),
    ("Run it", ("api", "supervisor")),
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
        "Where it looks",
        "The configuration is --config, DTQS_CONFIG, ./var/dtqs.ini or /etc/dtqs/dtqs.ini, the first that is there. Commands over the API talk "
        "to DTQS_URL with the key DTQS_API_KEY, else as client.env beside the configuration says; the others to PostgreSQL and RabbitMQ.",
    ),
    (
        "What it prints",
        "Tables on a terminal, plain columns elsewhere, JSON with --json. Colours on a terminal only, and not with NO_COLOR. Progress and "
        "errors go to standard error.",
    ),
    (
        "Exit status",
        "0 done; 1 the task failed, or a check; 2 refused, or wrongly used; 3 the task was cancelled; 69 a server cannot be reached; "
        "74 the output cannot be written; 75 come back later; 77 no key, or not good for this; 78 the configuration is wrong; 130 Ctrl-C.",
    ),
)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to standard output meets; an error with a file's name is another one's."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when their help lines are shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: Any = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
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
                sys.stdout.flush()  # at the interpreter's end it would be too late to tell of an error
        except BrokenPipeError:  # whoever reads has read enough
            discard_output()
            sys.exit(os.EX_OK)
        except DtqsError as error:
            if wants_json(ctx) and (problem := getattr(error, "problem", None)):
                click.echo(json.dumps(problem, indent=2))
            for line in str(error).splitlines():
                click.echo(visible(line), err=True)
            sys.exit(exit_status(error))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

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
    """DTQS, a durable task queue: tasks come in over HTTP, PostgreSQL keeps them, worker processes run them, and each ends in exactly one outcome.

    `dtqs COMMAND --help` explains a command, with examples.
    """
