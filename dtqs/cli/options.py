"""Shared by all commands: the options --config and --json, reading the configuration, and exit statuses."""

import math
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dtqs.config_file import find, list_places, sets_nothing
from dtqs.errors import ConfigError, DtqsError, RequestError, TransientError
from dtqs.suggestion import closest

if TYPE_CHECKING:
    from dtqs.config import Config

F = TypeVar("F", bound=Callable[..., Any])
_JSON = "dtqs.json"
EX_REFUSED = 2
"""The request was refused. click exits with the same status on wrong usage."""
INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, also at a question."""
_META = "dtqs.config_path"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_META] = value


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[_JSON] = value
    return value


json_option = click.option("--json", "as_json", is_flag=True, callback=_note_json, help="Print JSON.")


def wants_json(ctx: click.Context) -> bool:
    """Tell whether the command was called with --json."""
    return bool(ctx.meta.get(_JSON))


class Seconds(click.FloatRange):
    """A number of seconds within bounds. `inf` means no limit where `is_endless`; no bound refuses `nan`."""

    def __init__(self, least: float, most: float | None = None, is_endless: bool = False) -> None:
        super().__init__(least, most)
        self._is_endless = is_endless

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds) and not (self._is_endless and seconds == math.inf):
            self.fail(f"{value} is not a number of seconds", param, ctx)
        return seconds


Resolved = tuple[str | None, click.Command | None, list[str]]


def suggesting(
    resolve: Callable[[click.Context, list[str]], Resolved], names: Sequence[str], ctx: click.Context, args: list[str]
) -> Resolved:
    """Find a command of a group. The error for an unknown name suggests a similar one."""
    try:
        return resolve(ctx, args)
    except click.UsageError as error:
        close = closest(args[0], names)
        if close is None or "id you mean" in error.message:
            raise
        raise click.UsageError(f"{error.message} Did you mean `{close}`?", ctx) from error


class Group(click.Group):
    """A group that suggests a similar command for a mistyped one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Resolved:
        return suggesting(super().resolve_command, self.list_commands(ctx), ctx, args)


_NAMES = ("--config", "config_path")
_ATTRIBUTES: dict[str, Any] = {
    "metavar": "PATH",
    "expose_value": False,
    "callback": _remember,
    "is_eager": True,
    "help": "The configuration file.",
}


def config_option(function: F) -> F:
    """Add the option --config to a command; `configuration()` reads the file."""
    return click.option(*_NAMES, **_ATTRIBUTES)(function)


def add_config_option(command: click.Command) -> None:
    """Add the option --config to a command and its subcommands, unless they have it."""
    if not any("--config" in parameter.opts for parameter in command.params):
        command.params.append(click.Option(_NAMES, **_ATTRIBUTES))
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_config_option(below)


def configuration(needed: bool = False) -> "Config":
    """Read the configuration that --config names or that is found. Raises ConfigError: the exit status is EX_CONFIG.

    `needed`: refuse to go on with defaults alone, since they lead to servers that do not exist.
    """
    from dtqs.config import load  # takes a third of a second; --help, `up` and commands over the API do not need it

    path = configuration_path()
    if needed and path is None and sets_nothing():
        raise no_configuration()
    return load(path)


def no_configuration() -> ConfigError:
    """Return the error for a command that found no configuration."""
    return ConfigError(
        [
            f"no configuration found (searched: {list_places()})",
            "run the command in the folder of `dtqs up`, name the file with --config or DTQS_CONFIG,",
            "or set DTQS_URL and DTQS_API_KEY for a command over the API",
        ]
    )


def configuration_path() -> Path | None:
    """Return the file that --config names or that is found. The result may be None."""
    return find(named_path())


def named_path() -> str | None:
    """Return the file that --config names."""
    path: str | None = click.get_current_context().meta.get(_META)
    return path


def exit_status(error: DtqsError) -> int:
    """Return the exit status of a command that ended with this error."""
    if isinstance(error, ConfigError):
        return os.EX_CONFIG
    default = (
        EX_REFUSED
        if isinstance(error, RequestError)
        else os.EX_UNAVAILABLE
        if isinstance(error, TransientError)
        else os.EX_SOFTWARE
    )
    return int(getattr(error, "exit_status", default))
