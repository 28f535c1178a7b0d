"""Commands of the operator on the database: its schema and the API keys in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click

from dtqs.cli.options import configuration, json_option
from dtqs.cli.output import print_json, print_table
from dtqs.config import Config
from dtqs.store import Store
from dtqs.store.api_keys import REMEMBERED_SECONDS, SCOPES
from dtqs.store.checkup import reach
from dtqs.store.schema import migrate as apply_schema

NAME_LIMIT = 100


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Apply the schema to the database. Safe to repeat.

    \b
      dtqs migrate
      dtqs migrate --config /etc/dtqs/dtqs.ini
    """
    version = apply_schema(configuration().postgresql)
    if as_json:
        print_json({"schema": version})
    else:
        click.echo(f"the schema is at version {version}")


@contextmanager
def opened_store(config: Config, name: str) -> Iterator[Store]:
    """Open a store of one connection for a command. Raises StoreUnavailable at once where PostgreSQL cannot be reached."""
    reach(config.postgresql, name)
    store = Store(config.postgresql, config.lease, size=1, name=name)
    store.start()
    try:
        yield store
    finally:
        store.stop()


@click.group()
def key() -> None:
    """Make, list and revoke API keys.

    \b
      dtqs key create ci --scope submit,read
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


@key.command()
@click.argument("name", callback=_name)
@click.option("--scope", "scopes", default="submit,read", show_default=True, callback=_scopes, help="What the key may do: submit, read, admin.")
@json_option
def create(name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept.

    \b
      dtqs key create ci
      dtqs key create ops --scope admin --json
    """
    with opened_store(configuration(needed=True), "dtqs key") as store:
        key_id, secret = store.api_keys.create(name, scopes)
    if as_json:
        print_json({"key": secret, "key_id": key_id, "name": name, "scopes": scopes})
    else:
        click.echo(secret)
        click.echo(f"key {name} ({', '.join(scopes)}), id {key_id}: keep it, it is shown this once", err=True)


@key.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List the keys, revoked ones included; never their text.

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
        ("name", "id", "scopes", "created", "revoked"),
        [(each.name, each.key_id, ",".join(each.scopes), each.created_at, each.revoked_at) for each in keys],
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
    click.echo(f"revoked {name_or_id}, id {key_id}; API processes that have just seen it may take it for {REMEMBERED_SECONDS:g} s more")
