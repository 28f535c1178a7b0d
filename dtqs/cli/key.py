"""The command `key`: create, list, change and revoke API keys."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from dtqs.cli.options import Group, configuration, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.cli.store import opened_store
from dtqs.store.api_keys import REMEMBERED_SECONDS, SCOPES, Ceilings
from dtqs.task import PRIORITY_MAX, TIMEOUT_SECONDS_LIMIT

NAME_LIMIT = 100
_UPLOAD_BYTES_LIMIT = 1 << 42
_PENDING_LIMIT = 10_000_000
_NONE = "none"


@click.group(cls=Group)
def key() -> None:
    """Create, list, change and revoke API keys.

    \b
      dtqs key create ci --scope submit,read
      dtqs key create partner --task-types image,video --max-pending 1000 --max-priority 5
      dtqs key change partner --max-pending 5000
      dtqs key list
      dtqs key revoke ci
    """


def _scopes(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(scope.strip() for scope in value.split(",") if scope.strip()))
    if not scopes or not set(scopes) <= set(SCOPES):
        raise click.BadParameter(f"allowed: one or more of {', '.join(SCOPES)}, separated by commas")
    return scopes


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not (0 < len(value) <= NAME_LIMIT and value.isprintable()):
        raise click.BadParameter(f"allowed: 1 to {NAME_LIMIT} printable characters")
    return value


class _Ceiling(click.ParamType[Any]):
    """A number between two bounds, or `none` for no ceiling."""

    def __init__(self, name: str, least: float, most: float, kind: type[int] | type[float] = int) -> None:
        self.name, self._least, self._most, self._kind = name, least, most, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == _NONE or not isinstance(value, str):
            return value
        try:
            number = self._kind(value)
        except ValueError:
            number = self._kind(-1)
        if not self._least <= number <= self._most:
            kind = "a whole number" if self._kind is int else "a number"
            self.fail(
                f"allowed: {kind} from {self._least:.12g} to {self._most:.12g}, or {_NONE} for no ceiling", param, ctx
            )
        return number


class _Types(click.ParamType[Any]):
    """Names of task types. They are not checked: only the API and the workers know the task types."""

    name = "types"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == _NONE or not isinstance(value, str):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not names:
            self.fail(f"allowed: one or more task types, separated by commas, or {_NONE} for all", param, ctx)
        return names


def _ceiling_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each ceiling. The value `none` removes a ceiling; a missing option changes nothing."""
    options = (
        click.option("--max-priority", type=_Ceiling("0-9", 0, PRIORITY_MAX), help="Highest priority of a task."),
        click.option(
            "--max-pending",
            type=_Ceiling("tasks", 1, _PENDING_LIMIT),
            help="Most pending tasks of this key at a time.",
        ),
        click.option("--max-upload-bytes", type=_Ceiling("bytes", 1, _UPLOAD_BYTES_LIMIT), help="Largest upload."),
        click.option(
            "--max-timeout",
            "max_timeout_seconds",
            type=_Ceiling("seconds", 0.1, TIMEOUT_SECONDS_LIMIT, float),
            help="Longest time limit of an attempt.",
        ),
        click.option("--task-types", type=_Types(), help="Allowed task types, separated by commas."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _ceilings(given: dict[str, Any]) -> Ceilings:
    return Ceilings(**{name: None if value == _NONE else value for name, value in given.items()})


@key.command()
@click.argument("name", callback=_name)
@click.option(
    "--scope",
    "scopes",
    default="submit,read",
    show_default=True,
    callback=_scopes,
    help=f"Permissions of the key: one or more of {', '.join(SCOPES)}.",
)
@_ceiling_options
@json_option
def create(name: str, scopes: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Create a key and print it. It cannot be shown again, since only its hash is stored.

    \b
      dtqs key create ci
      dtqs key create ops --scope admin --json
      dtqs key create partner --task-types image --max-pending 1000 --max-upload-bytes 50000000 --max-timeout 60
    """
    ceilings = _ceilings(given)
    with opened_store(configuration(needed=True), "dtqs key") as store:
        key_id, secret = store.api_keys.create(name, scopes, ceilings)
    if as_json:
        print_json({"key": secret, "key_id": key_id, "name": name, "scopes": scopes, "ceilings": asdict(ceilings)})
    else:
        click.echo(secret)
        limits = f"; {text}" if (text := _ceilings_text(ceilings)) else ""
        click.echo(
            f"key {name} ({', '.join(scopes)}{limits}), id {key_id}: keep it safe, it is not shown again", err=True
        )


@key.command()
@click.argument("name_or_id")
@_ceiling_options
@json_option
def change(name_or_id: str, as_json: bool, **given: Any) -> None:
    """Change ceilings of a key, by its name or id. Other ceilings stay; the value `none` removes one.

    \b
      dtqs key change partner --max-pending 5000
      dtqs key change partner --task-types none
    """
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        raise click.UsageError("nothing to change: give one or more of the --max-... options or --task-types")
    with opened_store(configuration(needed=True), "dtqs key") as store:
        changed = store.api_keys.change(name_or_id, list(named), _ceilings(named))
    if as_json:
        print_json(asdict(changed))
        return
    ceilings = _ceilings_text(changed.ceilings) or "no ceilings"
    click.echo(
        f"key {changed.name}: {ceilings}; API processes may apply the old ceilings for {REMEMBERED_SECONDS:g} s more"
    )


@key.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List all keys, also revoked ones, with their ceilings. The keys themselves are not shown.

    \b
      dtqs key list
      dtqs key list --json
    """
    with opened_store(configuration(needed=True), "dtqs key") as store:
        keys = store.api_keys.list()
    if as_json:
        print_json([asdict(each) for each in keys])
        return
    print_table(
        ("name", "id", "scopes", "ceilings", "created", "revoked"),
        [
            (
                each.name,
                each.key_id,
                ",".join(each.scopes),
                _ceilings_text(each.ceilings),
                each.created_at,
                each.revoked_at,
            )
            for each in keys
        ],
    )


@key.command()
@click.argument("name_or_id")
@json_option
def revoke(name_or_id: str, as_json: bool) -> None:
    """Revoke a key by its name or id.

    \b
      dtqs key revoke ci
    """
    with opened_store(configuration(needed=True), "dtqs key") as store:
        key_id = store.api_keys.revoke(name_or_id)
    if as_json:
        print_json({"key_id": key_id})
        return
    click.echo(f"revoked {name_or_id}, id {key_id}; API processes may accept the key for {REMEMBERED_SECONDS:g} s more")


def _ceilings_text(ceilings: Ceilings) -> str:
    return " ".join(f"{name}={value}" for name, value in ceilings.texts().items())
