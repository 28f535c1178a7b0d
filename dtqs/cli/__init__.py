"""The command line: the group `main`, which imports a command only when it is called for, so that `dtqs --help` is quick."""

import importlib
import signal
import sys
from typing import Any

import click

from dtqs import __version__
from dtqs.cli.options import add_config_option, config_option, exit_status
from dtqs.errors import DtqsError
from dtqs.log import visible

COMMANDS = {
    "up": ("dtqs.cli.up", "Start a private PostgreSQL, RabbitMQ, API and supervisor below ./var."),
    "down": ("dtqs.cli.up", "Stop what `dtqs up` started."),
    "submit": ("dtqs.cli.client", "Submit a task; with --wait, follow it to its end."),
    "task": ("dtqs.cli.look", "Show one task."),
    "tasks": ("dtqs.cli.look", "List tasks."),
    "logs": ("dtqs.cli.look", "Show the log of a task."),
    "cancel": ("dtqs.cli.client", "Cancel tasks."),
    "retry": ("dtqs.cli.client", "Submit failed or cancelled tasks anew."),
    "mails": ("dtqs.cli.mails", "Show the mails of a sandbox, which are kept in a folder."),
    "console": ("dtqs.cli.console", "Watch the system on this terminal."),
    "doctor": ("dtqs.cli.doctor", "Check every part of the system; say what to do about each failure."),
    "migrate": ("dtqs.cli.admin", "Apply the schema to the database."),
    "key": ("dtqs.cli.admin", "Make, list and revoke API keys."),
    "config": ("dtqs.cli.configure", "Check and show the configuration."),
    "api": ("dtqs.cli.run", "Run the HTTP API."),
    "supervisor": ("dtqs.cli.run", "Run the workers and the keeper of this node."),
}
"""Each command's module and its line of help."""
GROUPS = (
    ("Try it", ("up", "down")),
    ("Tasks", ("submit", "task", "tasks", "logs", "cancel", "retry", "mails")),
    ("Operation", ("console", "doctor", "migrate", "key", "config", "api", "supervisor")),
)


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

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DtqsError as error:
            for line in str(error).splitlines():
                click.echo(visible(line), err=True)
            sys.exit(exit_status(error))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in GROUPS:
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="dtqs")
@config_option
def main() -> None:
    """DTQS: tasks over HTTP, kept in PostgreSQL, run in worker processes.

    Commands find their configuration as --config, DTQS_CONFIG, ./var/dtqs.ini, /etc/dtqs/dtqs.ini, in this order.
    The commands about tasks talk to the API at DTQS_URL with the key DTQS_API_KEY, else as client.env beside that file says.
    """
