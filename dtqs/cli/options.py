"""What commands share: the --config option and how its file becomes a Config; a wrong setting ends the command with EX_CONFIG."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from dtqs.config import Config, find, load
from dtqs.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
_META = "dtqs.config_path"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_META] = value


_NAMES = ("--config", "config_path")
_ATTRIBUTES: dict[str, Any] = {
    "metavar": "PATH", "expose_value": False, "callback": _remember, "is_eager": True, "help": "The configuration file."
}


def config_option(function: F) -> F:
    """Give a command the option --config; `configuration()` reads what it names."""
    return click.option(*_NAMES, **_ATTRIBUTES)(function)


def add_config_option(command: click.Command) -> None:
    """Give a command and those below it the option --config, unless they have one of their own."""
    if not any("--config" in parameter.opts for parameter in command.params):
        command.params.append(click.Option(_NAMES, **_ATTRIBUTES))
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_config_option(below)


def configuration() -> Config:
    """Read the configuration that --config names or that is found; print what is wrong with it, a line each, and end."""
    try:
        return load(find(click.get_current_context().meta.get(_META)))
    except ConfigError as error:
        refuse(error)


def refuse(error: ConfigError) -> NoReturn:
    """Print the problems, a line each, and end with EX_CONFIG."""
    for problem in error.problems:
        click.echo(problem, err=True)
    sys.exit(os.EX_CONFIG)
